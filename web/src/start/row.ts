/** One stream of the list: built once, then changed in place, so that focus and selections survive. */
import { wireCopyButton } from "../common/copy";
import { make, setAttribute, setText } from "../common/dom";
import { bitrate, codecName, duration } from "../common/format";
import { hlsUrl, playerPath, rtmpUrl, type Ports } from "../common/urls";
import type { Runtime, StreamInfo, TrackInfo } from "./api";

export const STATUSES = ["active", "degraded", "idle", "stopped"] as const;
export type Status = (typeof STATUSES)[number];

const STATUS_LABELS: Readonly<Record<Status, string>> = {
  active: "Active",
  degraded: "Degraded",
  idle: "Idle",
  stopped: "Stopped",
};

export function statusOf(stream: StreamInfo): Status {
  const status = stream.runtime?.status;
  return STATUSES.find((known) => known === status) ?? "stopped";
}

/** What plays comes from the outputs; a stream without outputs yet shows what comes in. */
function tracksOf(runtime: Runtime | null | undefined): readonly TrackInfo[] {
  const outputs = runtime?.media?.outputs ?? [];
  return outputs.length > 0 ? outputs : (runtime?.media?.inputs ?? []);
}

function sizeText(tracks: readonly TrackInfo[]): string {
  const video = tracks.find((track) => track.kind === "video" && track.width && track.height);
  return video ? `${video.width}×${video.height}` : "";
}

function codecsText(tracks: readonly TrackInfo[]): string {
  const names = tracks.flatMap((track) => (track.codec ? [codecName(track.codec)] : []));
  return [...new Set(names)].join(" + ");
}

function accepts(stream: StreamInfo): boolean {
  return (stream.inputs ?? []).some((input) => /^(publish:|rtmp:\/\/0\.0\.0\.0)/.test(input.url ?? ""));
}

export class StreamRow {
  readonly element: HTMLLIElement;
  status: Status = "stopped";
  private readonly code: string;
  private readonly badge = make("span", "badge");
  private readonly title = make("a", "row-code");
  private readonly note = make("p", "row-note");
  private readonly reasons = make("ul", "row-reasons");
  private readonly format = make("dd");
  private readonly rate = make("dd");
  private readonly uptime = make("dd");
  private readonly play = make("a", "button button-primary", "Play");
  private readonly copyHls = make("button", "button", "Copy HLS URL");
  private readonly copyPublish = make("button", "button", "Copy publish URL");
  private publishUrl = "";

  constructor(code: string) {
    this.code = code;
    this.title.textContent = code;
    this.title.href = playerPath(code);
    this.play.href = playerPath(code);
    this.play.setAttribute("aria-label", `Play ${code}`);
    for (const button of [this.copyHls, this.copyPublish]) button.type = "button";
    wireCopyButton(this.copyHls, () => hlsUrl(code));
    wireCopyButton(this.copyPublish, () => this.publishUrl);
    this.element = make("li", "row", [this.identity(), this.facts(), this.actions()]);
  }

  private identity(): HTMLElement {
    const heading = make("h2", "row-heading", [this.title]);
    const line = make("div", "row-line", [this.badge, heading]);
    return make("div", "row-identity", [line, this.note, this.reasons]);
  }

  private facts(): HTMLElement {
    const fact = (name: string, value: HTMLElement): HTMLElement =>
      make("div", "fact", [make("dt", "", name), value]);
    return make("dl", "facts", [
      fact("Format", this.format),
      fact("Bitrate", this.rate),
      fact("Uptime", this.uptime),
    ]);
  }

  private actions(): HTMLElement {
    return make("div", "row-actions", [this.play, this.copyHls, this.copyPublish]);
  }

  update(stream: StreamInfo, ports: Ports): void {
    const runtime = stream.runtime;
    this.status = statusOf(stream);
    setText(this.badge, STATUS_LABELS[this.status]);
    for (const element of [this.badge, this.element]) setAttribute(element, "data-status", this.status);
    setText(this.note, this.noteText(stream));
    this.note.hidden = this.note.textContent === "";
    this.updateReasons(runtime?.reasons ?? []);
    this.updateFacts(runtime);
    this.updateActions(stream, ports);
  }

  private noteText(stream: StreamInfo): string {
    const parts = [stream.name, stream.description].filter((text) => text && text.toLowerCase() !== stream.code.toLowerCase());
    if (stream.source === "runtime") parts.push("made by a publisher, not stored");
    return parts.join(" · ");
  }

  private updateReasons(reasons: readonly string[]): void {
    const shown = Array.from(this.reasons.children, (child) => child.textContent);
    this.reasons.hidden = reasons.length === 0;
    if (shown.length === reasons.length && reasons.every((reason, i) => reason === shown[i])) return;
    this.reasons.replaceChildren(...reasons.map((reason) => make("li", "", reason)));
  }

  private updateFacts(runtime: Runtime | null | undefined): void {
    const tracks = tracksOf(runtime);
    const format = [sizeText(tracks), codecsText(tracks)].filter((text) => text !== "").join(" ");
    const kbps = runtime?.media?.input_bitrate_kbps ?? 0;
    const live = this.status === "active" || this.status === "degraded";
    setText(this.format, format || "–");
    setText(this.rate, kbps > 0 ? bitrate(kbps) : "–");
    setText(this.uptime, live && runtime?.uptime_sec != null ? duration(runtime.uptime_sec) : "–");
  }

  private updateActions(stream: StreamInfo, ports: Ports): void {
    const playable = stream.protocols?.hls !== false && !stream.disabled;
    this.play.hidden = !playable;
    this.copyHls.hidden = !playable;
    const url = accepts(stream) && !stream.disabled ? rtmpUrl(this.code, ports) : null;
    this.copyPublish.hidden = url === null;
    this.publishUrl = url ?? "";
    setAttribute(
      this.copyPublish,
      "title",
      stream.stream_key ? `${this.publishUrl} (append ?key= and the stream key)` : this.publishUrl,
    );
  }

  matches(status: Status | "all", words: string): boolean {
    if (status !== "all" && status !== this.status) return false;
    const text = `${this.code} ${this.note.textContent ?? ""}`.toLowerCase();
    return words.split(/\s+/).every((word) => text.includes(word));
  }
}
