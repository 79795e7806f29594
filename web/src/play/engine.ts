/** What plays a playlist: hls.js over Media Source Extensions, or the browser itself. */

export type EngineName = "hlsjs" | "native";

export interface Failure {
  /** `network`: the server or the stream may be away. `media`: the bytes did not play. `codec`: they never will. */
  readonly kind: "network" | "media" | "codec";
  readonly message: string;
}

export interface EngineStats {
  /** Seconds between the making of the shown picture and now, or null while it is not known. */
  readonly latencyS: number | null;
  /** Seconds from the newest media of the playlist to the shown picture: needs no clock but the engine's. */
  readonly behindEdgeS: number | null;
  /** The distance from the edge the engine aims at, or null when it does not tell. */
  readonly targetLatencyS: number | null;
}

export interface Engine {
  readonly name: EngineName;
  /** Load the playlist and feed the video element. Failures after this come through the callback given at construction. */
  start(url: string): void;
  stats(): EngineStats;
  /** Jump to the newest point that plays without stalling. */
  goLive(): void;
  /** Let go of the video element. Idempotent; no callback comes after it. */
  destroy(): void;
}

export type OnFailure = (failure: Failure) => void;

/** A server's and a viewer's clock differ; a difference outside this range says nothing about latency. */
const PLAUSIBLE_LATENCY_S = { min: -0.5, max: 6 * 3600 } as const;

/** Latency from the wall clock time at which the shown picture was made (EXT-X-PROGRAM-DATE-TIME). */
export function latencyFromDate(playing: Date | null): number | null {
  if (playing === null) return null;
  const latencyS = (Date.now() - playing.getTime()) / 1000;
  const plausible = latencyS >= PLAUSIBLE_LATENCY_S.min && latencyS <= PLAUSIBLE_LATENCY_S.max;
  return plausible ? Math.max(0, latencyS) : null;
}
