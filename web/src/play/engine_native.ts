import { latencyFromDate, type Engine, type EngineStats, type OnFailure } from "./engine";

const HLS_TYPE = "application/vnd.apple.mpegurl";
/** Distance from the end of the seekable range at which a browser's own player is at its live edge. */
const LIVE_EDGE_S = 1;

/** Safari tells the wall clock time of position 0 (WHATWG HTML, HTMLMediaElement.getStartDate). */
type WithStartDate = HTMLVideoElement & { getStartDate?: () => Date };

export function nativeWorks(video: HTMLVideoElement): boolean {
  return video.canPlayType(HLS_TYPE) !== "";
}

export class NativeEngine implements Engine {
  readonly name = "native";
  private readonly onError = (): void => {
    const error = this.video.error;
    if (error === null) return;
    const kind = error.code === MediaError.MEDIA_ERR_DECODE ? "media" : "network";
    this.onFailure({ kind, message: error.message || `media error ${error.code}` });
  };

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly onFailure: OnFailure,
  ) {}

  start(url: string): void {
    this.video.addEventListener("error", this.onError);
    this.video.src = url;
    this.video.load();
  }

  stats(): EngineStats {
    const behindEdgeS = this.behindEdge();
    return { latencyS: latencyFromDate(this.playingDate()) ?? behindEdgeS, behindEdgeS, targetLatencyS: null };
  }

  private playingDate(): Date | null {
    const start = (this.video as WithStartDate).getStartDate?.();
    if (start === undefined || Number.isNaN(start.getTime())) return null;
    return new Date(start.getTime() + this.video.currentTime * 1000);
  }

  private behindEdge(): number | null {
    const { seekable } = this.video;
    if (seekable.length === 0) return null;
    return Math.max(0, seekable.end(seekable.length - 1) - this.video.currentTime);
  }

  goLive(): void {
    const { seekable } = this.video;
    // Chromium's own player tells no seekable range of a live stream: loading it again starts at the edge.
    if (seekable.length === 0) return this.reload();
    this.video.currentTime = Math.max(0, seekable.end(seekable.length - 1) - LIVE_EDGE_S);
  }

  private reload(): void {
    this.video.load();
    this.video.play().catch(() => undefined); // a newer load interrupts it; the session watches the picture
  }

  destroy(): void {
    this.video.removeEventListener("error", this.onError);
    this.video.removeAttribute("src");
    this.video.load();
  }
}
