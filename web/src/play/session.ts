/**
 * Keeps one stream playing for ever: starts an engine when the stream is there, watches that the picture
 * moves, and starts over after every failure. It owns the video element's source; nothing else sets it.
 */
import { bufferedAheadS } from "./buffered";
import { judge, type Supports } from "./codecs";
import type { Engine, EngineName, EngineStats, Failure, OnFailure } from "./engine";
import { look, lookForOffer, type Offer, type Sight } from "./probe";
import { isOutdated } from "./renditions";
import { LiveSpeed } from "./speed";

export type State =
  | "connecting" // looking for the stream
  | "waiting" // the server is there, the stream sends nothing
  | "playing"
  | "stalled" // the buffer ran dry a moment ago
  | "paused" // by the person
  | "blocked" // the browser wants a click before it plays
  | "reconnecting" // the server is away
  | "denied"
  | "unsupported";

export interface SessionView {
  readonly state: State;
  readonly message: string;
  readonly engine: EngineName;
  readonly stalls: number;
  readonly restarts: number;
  readonly lastError: string;
  /** What the stream's sound would need and this browser lacks, or "" while nothing is missing. */
  readonly missingSound: string;
  readonly stats: EngineStats;
  readonly atLiveEdge: boolean;
}

const TICK_MS = 500;
const LOOK_AGAIN_MS = 1000;
/** Players load the multivariant playlist once: whether the stream has other tracks now is for us to see. */
const COMPARE_RENDITIONS_MS = 2000;
/** A refusal or a codec the browser lacks rarely changes: the server is not asked every second. */
const LOOK_AGAIN_REFUSED_MS = 10_000;
/** The first restart comes quickly; each further one doubles the pause until the picture ran for a while. */
const RESTART_PAUSE_MS = { first: 300, most: 8000 } as const;
const HEALTHY_AFTER_MS = 10_000;
/** Filling the buffer for the first time is no stall. */
const STARTED_AFTER_S = 0.5;
const STALL_VISIBLE_AFTER_MS = 700;
/** No movement for so long, although media arrives: the engine is stuck. */
const STUCK_AFTER_MS = 8000;
/** No movement for so long: say so on the page. */
const SILENT_AFTER_MS = 2500;
/** What a player without low latency keeps: three segments of two seconds. */
const TYPICAL_TARGET_S = 6;
const STARTS_BY_ITSELF = "It starts here by itself as soon as it is on the air.";
const NO_STATS: EngineStats = { latencyS: null, behindEdgeS: null, targetLatencyS: null };

export class Session {
  private engine: Engine | null = null;
  /** The engine reported a failure; its last picture stays until another one can start. */
  private failed = false;
  private state: State = "connecting";
  private message = "";
  private stalls = 0;
  private restarts = 0;
  private lastError = "";
  private timer = 0;
  private looking = false;
  private hasPlayed = false;
  /** The buffer ran dry and the picture has not moved since: one stall, however often the browser says so. */
  private dry = false;
  private userPaused = false;
  private userWentBack = false;
  private readonly speed = new LiveSpeed();
  /** What this session set; another rate is the person's. */
  private rateSet = 1;
  private firstPosition = 0;
  private lastPosition = 0;
  private movedAtMs = performance.now();
  private healthySinceMs = 0;
  private quickRestarts = 0;
  private newestWhenSilent: string | null = null;
  /** When a look last found nothing new: being stuck counts from there, not from when the stream fell silent. */
  private nothingNewAtMs = 0;
  private lookedAtMs = 0;
  /** What the stream had when the engine started. */
  private renditions: readonly string[] = [];
  private missingSound = "";
  private comparedAtMs = 0;
  private comparing = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly url: string,
    private readonly engineName: EngineName,
    private readonly supports: Supports,
    private readonly makeEngine: (onFailure: OnFailure) => Engine,
  ) {
    video.addEventListener("waiting", () => this.onBufferDry());
    video.addEventListener("playing", () => this.onPlaying());
    video.addEventListener("pause", () => this.onPause());
    video.addEventListener("play", () => this.onPlay());
    video.addEventListener("seeking", () => this.onSeeking());
    window.addEventListener("online", () => this.connectIn(0));
  }

  run(): void {
    window.setInterval(() => this.tick(), TICK_MS);
    this.connectIn(0);
  }

  view(): SessionView {
    return {
      state: this.state,
      message: this.message,
      engine: this.engineName,
      stalls: this.stalls,
      restarts: this.restarts,
      lastError: this.lastError,
      missingSound: this.missingSound,
      stats: this.hasPlayed ? (this.engine?.stats() ?? NO_STATS) : NO_STATS,
      atLiveEdge: this.state === "playing" && !this.isFarBehind(),
    };
  }

  goLive(): void {
    this.userWentBack = false;
    this.engine?.goLive();
    if (this.video.paused) void this.play();
  }

  /** Play after a click, which a browser asks for when its policy forbids to start by itself. */
  async play(): Promise<void> {
    this.userPaused = false;
    try {
      await this.video.play();
    } catch (error) {
      // A newer source interrupts the older request to play; that is no refusal.
      if (error instanceof DOMException && error.name === "NotAllowedError") {
        this.become("blocked", "The browser plays after a click.");
      }
    }
  }

  private become(state: State, message = ""): void {
    this.state = state;
    this.message = message;
  }

  // -- looking for the stream ---------------------------------------------------------------------

  /** While an engine runs, looking again replaces it only when there is something to play. */
  private connectIn(delayMs: number): void {
    if (this.engineIsFine()) return;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.connect(), delayMs);
  }

  private engineIsFine(): boolean {
    return this.engine !== null && !this.failed;
  }

  private async connect(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const held = window.setTimeout(() => this.explainHolding(), SILENT_AFTER_MS);
    const sight = await look(this.url);
    window.clearTimeout(held);
    this.looking = false;
    if (this.engineIsFine()) return;
    if (sight.kind === "there") this.startWith(sight.offer);
    else this.explainAbsence(sight);
  }

  /** The server holds the answer until there is something to play. */
  private explainHolding(): void {
    if (this.state === "connecting") this.become("waiting", STARTS_BY_ITSELF);
  }

  private explainAbsence(sight: Exclude<Sight, { kind: "there" }>): void {
    switch (sight.kind) {
      case "absent":
        this.become("waiting", sight.message || STARTS_BY_ITSELF);
        return this.connectIn(LOOK_AGAIN_MS);
      case "unreachable":
        this.become("reconnecting", "The server does not answer. Trying again every second.");
        return this.connectIn(LOOK_AGAIN_MS);
      case "denied":
        this.become("denied", sight.message || "The server refuses to show this stream to you.");
        return this.connectIn(LOOK_AGAIN_REFUSED_MS);
    }
  }

  /** Start with what of the offer this browser can play. */
  private startWith({ renditions, variants }: Offer): void {
    const verdict = judge(variants, this.supports);
    this.renditions = renditions;
    if (verdict.kind === "nothing") return this.giveUp(`It cannot play ${verdict.missing}.`);
    this.missingSound = verdict.kind === "picture" ? verdict.missing : "";
    this.startEngine(verdict.kind === "picture" ? verdict.url : this.url);
  }

  /** No engine could play it: none is started. The stream may come back with another codec. */
  private giveUp(reason: string): void {
    this.engine?.destroy();
    this.engine = null;
    this.missingSound = "";
    this.lastError = reason;
    this.become("unsupported", reason);
    this.connectIn(LOOK_AGAIN_REFUSED_MS);
  }

  private startEngine(url: string): void {
    this.comparedAtMs = performance.now();
    if (this.engine !== null) this.restarts += 1;
    this.engine?.destroy();
    this.failed = false;
    this.hasPlayed = false;
    this.dry = false;
    this.userWentBack = false;
    this.newestWhenSilent = null;
    this.speed.reset();
    this.lastPosition = 0;
    this.movedAtMs = performance.now();
    this.become("connecting");
    const engine = this.makeEngine((failure) => {
      if (this.engine === engine) this.onFailure(failure);
    });
    this.engine = engine;
    engine.start(url);
    if (this.userPaused) this.become("paused");
    else void this.play();
  }

  // -- failures -----------------------------------------------------------------------------------

  private onFailure(failure: Failure): void {
    this.lastError = failure.message;
    if (this.failed) return;
    this.failed = true;
    if (failure.kind === "codec") {
      this.become("unsupported", "This browser cannot decode the stream's video or audio.");
      return this.connectIn(LOOK_AGAIN_REFUSED_MS);
    }
    this.become("connecting");
    this.connectIn(this.nextPauseMs());
  }

  private nextPauseMs(): number {
    const healthy = this.hasPlayed && performance.now() - this.healthySinceMs > HEALTHY_AFTER_MS;
    this.quickRestarts = healthy ? 0 : this.quickRestarts + 1;
    const doubled = RESTART_PAUSE_MS.first * 2 ** Math.min(this.quickRestarts, 10);
    return Math.min(RESTART_PAUSE_MS.most, doubled);
  }

  // -- the video element --------------------------------------------------------------------------

  private onBufferDry(): void {
    const startingUp = this.video.currentTime - this.firstPosition < STARTED_AFTER_S;
    if (this.dry || !this.hasPlayed || startingUp || this.video.seeking || this.video.paused) return;
    this.dry = true;
    this.stalls += 1;
    if (this.state === "playing") this.become("stalled");
  }

  private onPlaying(): void {
    if (!this.engineIsFine()) return;
    if (!this.hasPlayed) {
      this.healthySinceMs = performance.now();
      this.firstPosition = this.video.currentTime;
    }
    this.hasPlayed = true;
    this.moved();
    this.become("playing");
  }

  private moved(): void {
    this.movedAtMs = performance.now();
    this.newestWhenSilent = null;
    this.dry = false;
  }

  private onPause(): void {
    // Detaching a source pauses too; only a pause of a running picture is the person's.
    if (!this.engineIsFine() || !this.hasPlayed || this.video.ended) return;
    this.userPaused = true;
    this.become("paused");
  }

  private onPlay(): void {
    const resumed = this.userPaused;
    this.userPaused = false;
    this.movedAtMs = performance.now();
    if (resumed && this.isFarBehind()) this.engine?.goLive();
  }

  private onSeeking(): void {
    const target = this.video.currentTime;
    if (this.hasPlayed && target < this.lastPosition - 1) this.userWentBack = true;
    else if (!this.isFarBehind()) this.userWentBack = false;
    this.speed.reset();
  }

  private isFarBehind(): boolean {
    const { behindEdgeS, targetLatencyS } = this.engine?.stats() ?? NO_STATS;
    const target = targetLatencyS ?? TYPICAL_TARGET_S;
    return behindEdgeS !== null && behindEdgeS > Math.max(3 * target, target + 4);
  }

  /** Play a little faster or slower, to stay as far from the live edge as the playlist asks. */
  private keepDistance(): void {
    const { behindEdgeS, targetLatencyS } = this.engine?.stats() ?? NO_STATS;
    const { playbackRate } = this.video;
    const chosenByPerson = playbackRate !== 1 && playbackRate !== this.rateSet;
    if (behindEdgeS === null || targetLatencyS === null || chosenByPerson) return;
    if (this.userWentBack || this.isFarBehind()) this.speed.reset();
    else this.speed.look(behindEdgeS - targetLatencyS, bufferedAheadS(this.video) ?? 0, targetLatencyS);
    this.rateSet = this.speed.rate;
    if (playbackRate !== this.rateSet) this.video.playbackRate = this.rateSet;
  }

  // -- the watch ----------------------------------------------------------------------------------

  private tick(): void {
    if (!this.engineIsFine() || this.userPaused || this.state === "blocked") return;
    void this.compareRenditions();
    const position = this.video.currentTime;
    if (position !== this.lastPosition && !this.video.paused) {
      this.lastPosition = position;
      this.moved();
      if (this.hasPlayed) this.become("playing");
      if (this.isFarBehind() && !this.userWentBack && !this.video.seeking) this.engine?.goLive();
      this.keepDistance();
      return;
    }
    const silentMs = performance.now() - this.movedAtMs;
    if (silentMs > STALL_VISIBLE_AFTER_MS && this.state === "playing") this.become("stalled");
    if (silentMs > SILENT_AFTER_MS) void this.inspectSilence(silentMs);
  }

  /** The picture stands still: because nothing comes (wait), or because the engine is stuck (replace it). */
  private async inspectSilence(silentMs: number): Promise<void> {
    const now = performance.now();
    if (this.looking || now - this.lookedAtMs < LOOK_AGAIN_MS) return;
    this.lookedAtMs = now;
    this.looking = true;
    const sight = await look(this.url);
    this.looking = false;
    if (!this.engineIsFine() || performance.now() - this.movedAtMs < SILENT_AFTER_MS) return;
    if (sight.kind !== "there") {
      // The server or the stream went away; the next engine starts when it is back.
      this.failed = true;
      this.explainAbsence(sight);
    } else if (this.newestWhenSilent === null) {
      this.newestWhenSilent = sight.newest;
    } else if (sight.newest === this.newestWhenSilent) {
      this.become("waiting", "The stream sends nothing at the moment.");
      this.nothingNewAtMs = performance.now();
    } else if (Math.min(silentMs, performance.now() - this.nothingNewAtMs) > STUCK_AFTER_MS) {
      this.onFailure({ kind: "media", message: "the picture stood still although media arrived" });
    }
  }

  /** Start anew when the stream's source came back with other tracks. */
  private async compareRenditions(): Promise<void> {
    const { engine } = this;
    if (this.comparing || performance.now() - this.comparedAtMs < COMPARE_RENDITIONS_MS) return;
    this.comparing = true;
    const offered = await lookForOffer(this.url);
    this.comparing = false;
    this.comparedAtMs = performance.now();
    if (offered === null || this.engine !== engine || !this.engineIsFine()) return;
    const moves = performance.now() - this.movedAtMs < SILENT_AFTER_MS;
    if (isOutdated(this.renditions, offered.renditions, moves) || this.couldBeHeard(offered)) this.startWith(offered);
  }

  /** The sound that this browser could not play has given way to one that it can. */
  private couldBeHeard({ variants }: Offer): boolean {
    return this.missingSound !== "" && judge(variants, this.supports).kind === "everything";
  }
}
