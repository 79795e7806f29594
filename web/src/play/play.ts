/** The player page /play/{code}: one stream, as live as the browser allows, for ever. */
import { wireCopyButton } from "../common/copy";
import { byId, make, setAttribute, setText } from "../common/dom";
import { secondsShort } from "../common/format";
import { escapeCode, hlsUrl } from "../common/urls";
import { bufferedAheadS } from "./buffered";
import type { Supports } from "./codecs";
import type { Engine, EngineName, OnFailure } from "./engine";
import { HlsjsEngine, hlsjsSupports, hlsjsWorks } from "./engine_hlsjs";
import { NativeEngine, nativeWorks } from "./engine_native";
import { Session, type SessionView, type State } from "./session";

/** What tests and scripts read; it always tells the present. */
interface PlayerHandle {
  readonly state: State;
  readonly engine: EngineName;
  readonly stalls: number;
  readonly restarts: number;
  readonly latency_s: number | null;
  readonly target_latency_s: number | null;
  readonly dropped_frames: number;
  readonly last_error: string;
}

declare global {
  interface Window {
    openstreamerPlayer?: PlayerHandle;
  }
}

const SHOW_MS = 500;
/** Control that segments of a code may hold; the server enforces the same. */
const CODE = /^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/;

const LABELS: Readonly<Record<State, string>> = {
  connecting: "Connecting",
  waiting: "Waiting",
  playing: "Playing",
  stalled: "Buffering",
  paused: "Paused",
  blocked: "Ready",
  reconnecting: "Reconnecting",
  denied: "No access",
  unsupported: "Not playable here",
};

const TITLES: Partial<Record<State, string>> = {
  connecting: "Connecting …",
  waiting: "Waiting for the stream",
  stalled: "Buffering …",
  blocked: "Press play",
  reconnecting: "Waiting for the server",
  denied: "You may not watch this stream",
  unsupported: "This browser cannot play the stream",
};

/** These would hide a picture that is still moving or about to. */
const OVER_PICTURE_AFTER_MS = 700;

const video = byId("video", HTMLVideoElement);
const badge = byId("state", HTMLSpanElement);
const overlay = byId("overlay", HTMLDivElement);
const overlayTitle = byId("overlay-title", HTMLParagraphElement);
const overlayText = byId("overlay-text", HTMLParagraphElement);
const unmute = byId("unmute", HTMLButtonElement);
const noSound = byId("no-sound", HTMLParagraphElement);
const live = byId("live", HTMLButtonElement);
const query = new URLSearchParams(location.search);

function codeOfPage(): string | null {
  let path = location.pathname.replace(/^\/play\//, "").replace(/\/+$/, "");
  try {
    path = decodeURIComponent(path);
  } catch {
    return null;
  }
  return CODE.test(path) ? path : null;
}

function chooseEngine(): EngineName | null {
  const asked = query.get("engine");
  if (asked === "native" || asked === "hlsjs") return asked;
  if (hlsjsWorks()) return "hlsjs";
  return nativeWorks(video) ? "native" : null;
}

function makeEngine(name: EngineName, onFailure: OnFailure): Engine {
  return name === "hlsjs" ? new HlsjsEngine(video, onFailure) : new NativeEngine(video, onFailure);
}

function supportsOf(name: EngineName): Supports {
  return name === "hlsjs" ? hlsjsSupports : (type) => video.canPlayType(type) !== "";
}

/** The token of a protected stream goes along; nothing else of the page's query does. */
function playlistUrl(code: string): string {
  const token = query.get("token");
  const suffix = token === null ? "" : `?token=${encodeURIComponent(token)}`;
  return `/${escapeCode(code)}/index.m3u8${suffix}`;
}

function frames(): { readonly dropped: number; readonly total: number } {
  const quality = video.getVideoPlaybackQuality?.();
  return { dropped: quality?.droppedVideoFrames ?? 0, total: quality?.totalVideoFrames ?? 0 };
}

let stateSinceMs = performance.now();
let shownState: State | null = null;
let missingSound = "";

function showState(view: SessionView): void {
  if (view.state !== shownState) {
    shownState = view.state;
    stateSinceMs = performance.now();
  }
  setText(badge, LABELS[view.state]);
  setAttribute(badge, "data-status", view.state);
  const title = TITLES[view.state];
  const early = performance.now() - stateSinceMs < OVER_PICTURE_AFTER_MS;
  overlay.hidden = title === undefined || (view.state === "stalled" && early);
  overlay.dataset["picture"] = String(video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
  setText(overlayTitle, title ?? "");
  setText(overlayText, view.message === title ? "" : view.message);
  live.hidden = !["playing", "paused", "stalled"].includes(view.state);
  missingSound = view.missingSound;
  showSound();
  setAttribute(live, "data-live", String(view.atLiveEdge));
  setText(live, view.atLiveEdge ? "Live" : "Go live");
}

const facts = byId("facts", HTMLDListElement);
const factValues = new Map<string, HTMLElement>();

function showFact(name: string, value: string, title = ""): void {
  let element = factValues.get(name);
  if (element === undefined) {
    element = make("dd");
    factValues.set(name, element);
    facts.append(make("div", "fact", [make("dt", "", name), element]));
  }
  setText(element, value);
  if (title) setAttribute(element, "title", title);
}

function showFacts(view: SessionView): void {
  const { dropped, total } = frames();
  const { latencyS, targetLatencyS } = view.stats;
  const aim = targetLatencyS === null ? "" : `The player keeps ${targetLatencyS.toFixed(1)} s from the live edge.`;
  showFact("Latency", secondsShort(latencyS), `From the making of the picture, by this computer's clock. ${aim}`);
  showFact("Buffer", secondsShort(bufferedAheadS(video)));
  showFact("Picture", video.videoWidth > 0 ? `${video.videoWidth}×${video.videoHeight}` : "–");
  showFact("Dropped frames", `${dropped} of ${total}`);
  showFact("Stalls", String(view.stalls));
  showFact("Restarts", String(view.restarts), view.lastError);
  showFact("Engine", view.engine === "hlsjs" ? "hls.js" : "browser");
}

function exposeHandle(session: Session): void {
  window.openstreamerPlayer = {
    get state() {
      return session.view().state;
    },
    get engine() {
      return session.view().engine;
    },
    get stalls() {
      return session.view().stalls;
    },
    get restarts() {
      return session.view().restarts;
    },
    get latency_s() {
      return session.view().stats.latencyS;
    },
    get target_latency_s() {
      return session.view().stats.targetLatencyS;
    },
    get dropped_frames() {
      return frames().dropped;
    },
    get last_error() {
      return session.view().lastError;
    },
  };
}

function showSound(): void {
  noSound.hidden = missingSound === "" || !overlay.hidden;
  setText(noSound, noSound.hidden ? "" : `No sound: this browser cannot play ${missingSound}`);
  unmute.hidden = !video.muted || video.paused || !overlay.hidden || missingSound !== "";
}

function wireControls(session: Session): void {
  unmute.addEventListener("click", () => {
    video.muted = false;
    if (video.volume === 0) video.volume = 1;
    video.focus();
  });
  for (const event of ["volumechange", "playing", "pause"]) video.addEventListener(event, showSound);
  live.addEventListener("click", () => session.goLive());
  overlay.addEventListener("click", () => {
    if (shownState === "blocked") void session.play();
  });
}

function explain(title: string, text: string): void {
  overlay.hidden = false;
  setText(overlayTitle, title);
  setText(overlayText, text);
  setText(badge, "Stopped");
  setAttribute(badge, "data-status", "stopped");
}

function main(): void {
  const code = codeOfPage();
  if (code === null) {
    return explain("No such stream", "The address of a player is /play/ and the code of a stream.");
  }
  document.title = `${code} · Openstreamer`;
  setText(byId("code", HTMLHeadingElement), code);
  const url = hlsUrl(code);
  setText(byId("hls-url", HTMLElement), url);
  wireCopyButton(byId("copy-hls", HTMLButtonElement), () => url);
  const name = chooseEngine();
  if (name === null) {
    return explain("This browser cannot play HLS", "It has neither Media Source Extensions nor an HLS player.");
  }
  const session = new Session(video, playlistUrl(code), name, supportsOf(name), (onFailure) =>
    makeEngine(name, onFailure),
  );
  exposeHandle(session);
  wireControls(session);
  session.run();
  const show = (): void => {
    const view = session.view();
    showState(view);
    showFacts(view);
  };
  show();
  window.setInterval(show, SHOW_MS);
}

main();
