import Hls, { ErrorDetails, ErrorTypes, Events, type ErrorData, type HlsConfig, type LevelDetails } from "hls.js";
import { latencyFromDate, type Engine, type EngineStats, type OnFailure } from "./engine";

/** Two repairs of a media error within this time; a third means that the engine must start anew. */
const MEDIA_REPAIR_WINDOW_MS = 10_000;
const MEDIA_REPAIRS = 2;

/**
 * liveSyncDuration stays unset: hls.js then aims at the playlist's PART-HOLD-BACK. Retries are few and
 * quick, because the session above looks after the stream and starts the engine again.
 *
 * backBufferLength stays infinite, and the browser drops what it has no room for: when hls.js 1.7.4 drops old
 * media while a segment arrives part by part, it forgets that it has the first parts, and at the end of that
 * segment it waits until the next one is whole. That was a stall of two to six seconds, each minute or two.
 */
const CONFIG: Partial<HlsConfig> = {
  lowLatencyMode: true,
  // Off: its rule goes on and off several times a second, which is heard; see speed.ts.
  maxLiveSyncPlaybackRate: 1,
  // After a stall the target is farther away, by half a second each, up to a target duration.
  liveSyncOnStallIncrease: 0.5,
  liveDurationInfinity: true,
  maxBufferLength: 30,
  startFragPrefetch: true,
  capLevelToPlayerSize: true,
  // Parts are fragmented MP4 already: there is nothing to transmux, and the page's policy allows no blob worker.
  enableWorker: false,
  emeEnabled: false,
  manifestLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 8000,
      maxLoadTimeMs: 12_000,
      timeoutRetry: { maxNumRetry: 0, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: 0, retryDelayMs: 0, maxRetryDelayMs: 0 },
    },
  },
  // A blocking reload may be held for three target durations (up to 30 s with ten-second key frames).
  playlistLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 40_000,
      maxLoadTimeMs: 45_000,
      timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: 2, retryDelayMs: 400, maxRetryDelayMs: 1000 },
    },
  },
  fragLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 10_000,
      maxLoadTimeMs: 30_000,
      timeoutRetry: { maxNumRetry: 2, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: 3, retryDelayMs: 300, maxRetryDelayMs: 1000 },
    },
  },
};

const CODEC_ERRORS: readonly string[] = [
  ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
  ErrorDetails.BUFFER_ADD_CODEC_ERROR,
  ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
];

export function hlsjsWorks(): boolean {
  return Hls.isSupported();
}

/**
 * Other names under which hls.js asks for a codec when the browser does not know the one of the playlist
 * (getCodecCompatibleName). That it also feeds MP3 as `audio/mpeg` helps elementary streams only, not MP4.
 */
const OTHER_NAMES: readonly (readonly [RegExp, string])[] = [
  [/mp4a\.40\.34/i, "mp3"],
  [/opus/i, "opus"],
  [/opus/i, "Opus"],
];

/** Whether the browser takes what is in fragmented MP4 of this type from hls.js. */
export function hlsjsSupports(type: string): boolean {
  const takes = (asked: string): boolean => Hls.getMediaSource()?.isTypeSupported(asked) ?? false;
  return takes(type) || OTHER_NAMES.some(([name, other]) => name.test(type) && takes(type.replace(name, other)));
}

export class HlsjsEngine implements Engine {
  readonly name = "hlsjs";
  private readonly hls = new Hls(CONFIG);
  private readonly repairsMs: number[] = [];
  private newestSegment = -1;
  private over = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly onFailure: OnFailure,
  ) {
    this.hls.on(Events.ERROR, (_, data) => this.onError(data));
    this.hls.on(Events.LEVEL_LOADED, (_, { details }) => dropFalseHint(details));
    this.hls.on(Events.AUDIO_TRACK_LOADED, (_, { details }) => dropFalseHint(details));
    this.hls.on(Events.LEVEL_UPDATED, (_, { details }) => this.onPlaylist(details.endSN));
  }

  start(url: string): void {
    this.hls.attachMedia(this.video);
    this.hls.loadSource(url);
  }

  stats(): EngineStats {
    const behindEdgeS = this.hls.latestLevelDetails === null ? null : this.hls.latency;
    return {
      latencyS: latencyFromDate(this.hls.playingDate) ?? behindEdgeS,
      behindEdgeS,
      targetLatencyS: this.hls.targetLatency,
    };
  }

  goLive(): void {
    const position = this.hls.liveSyncPosition;
    if (position !== null && Number.isFinite(position)) this.video.currentTime = position;
  }

  destroy(): void {
    if (this.over) return;
    this.over = true;
    this.hls.destroy();
  }

  /** Segment numbers never fall within one playlist: lower ones are another server's, which hls.js cannot join. */
  private onPlaylist(newest: number): void {
    if (newest < this.newestSegment) this.fail("network", "the playlist began anew");
    this.newestSegment = newest;
  }

  private onError(data: ErrorData): void {
    if (!data.fatal) return;
    const message = describe(data);
    if (CODEC_ERRORS.includes(data.details)) this.fail("codec", message);
    else if (data.type === ErrorTypes.MEDIA_ERROR) this.repairMedia(message);
    else this.fail(data.type === ErrorTypes.NETWORK_ERROR ? "network" : "media", message);
  }

  private repairMedia(message: string): void {
    const now = performance.now();
    while ((this.repairsMs[0] ?? now) < now - MEDIA_REPAIR_WINDOW_MS) this.repairsMs.shift();
    if (this.repairsMs.length >= MEDIA_REPAIRS) return this.fail("media", message);
    this.repairsMs.push(now);
    this.hls.recoverMediaError();
  }

  private fail(kind: "network" | "media" | "codec", message: string): void {
    if (this.over) return;
    // What is buffered goes on playing and the last picture stays until the session starts another engine.
    this.hls.stopLoad();
    this.onFailure({ kind, message });
  }
}

/**
 * hls.js 1.7.4 takes the last segment for the one that is being made when a playlist ends with it, as ours does while
 * the source is away. A discontinuity that comes next then looks like another number of that segment: a fatal error.
 */
function dropFalseHint(details: LevelDetails): void {
  const { fragmentHint, fragments } = details;
  if (fragmentHint !== undefined && fragmentHint === fragments[fragments.length - 1]) delete details.fragmentHint;
}

function describe(data: ErrorData): string {
  const status = data.response?.code ? ` (status ${data.response.code})` : "";
  return `${data.details}${status}: ${data.error?.message ?? "no details"}`;
}
