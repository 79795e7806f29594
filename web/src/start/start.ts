/** The start page: lists the streams, refreshes every two seconds, and says plainly why it cannot. */
import { wireCopyButton } from "../common/copy";
import { byId, setText } from "../common/dom";
import { rtmpUrl, splitForObs, type Ports } from "../common/urls";
import { listStreams, serverInfo, type Answer, type StreamInfo } from "./api";
import { StreamList } from "./list";

const REFRESH_MS = 2000;
/** A refusal does not change by itself within seconds: ask rarely, and let the person ask at once. */
const REFUSED_REFRESH_MS = 10_000;
/** A server with thousands of streams must not spend its time on this page: rest 9 times as long as it took. */
const REST_FACTOR = 9;
const EXAMPLE_CODE = "news";

const main = byId("main", HTMLElement);
const notice = byId("notice", HTMLDivElement);
const noticeTitle = byId("notice-title", HTMLHeadingElement);
const noticeText = byId("notice-text", HTMLParagraphElement);
const noticeCommand = byId("notice-command", HTMLPreElement);
const retry = byId("retry", HTMLButtonElement);
const publish = byId("publish", HTMLDetailsElement);
const list = new StreamList();

let ports: Ports = { rtmp: null };
let infoKnown = false;
let timer = 0;

type Shown = "loading" | "list" | "empty" | "notice";

interface Notice {
  readonly title: string;
  readonly text: string;
  readonly command?: string;
  readonly retry?: string;
}

function refusal(status: number, message: string): Notice {
  if (status === 401) {
    return {
      title: "Sign in to see the streams",
      text: "This server has users. Reload the page and enter a user name and its password.",
      retry: "Sign in",
    };
  }
  if (status === 403) {
    return {
      title: "The list of streams is closed to this address",
      text:
        "Until a user exists, the server shows and changes streams only for requests that come directly " +
        "from its own machine, without a proxy. Open this page there, or add a user on the server and reload:",
      command: "openstreamer user add NAME",
      retry: "Try again",
    };
  }
  const text = message || `The server answered with status ${status}.`;
  return { title: "The server cannot list the streams", text, retry: "Try again" };
}

function show(state: Shown, shown: Notice | null, stale: boolean): void {
  main.dataset["state"] = state;
  main.dataset["stale"] = String(stale);
  notice.hidden = shown === null;
  if (shown === null) return;
  setText(noticeTitle, shown.title);
  setText(noticeText, shown.text);
  setText(noticeCommand, shown.command ?? "");
  noticeCommand.hidden = shown.command === undefined;
  setText(retry, shown.retry ?? "");
  retry.hidden = shown.retry === undefined;
}

/** What the list was when the server last gave it; it stays visible, dimmed, while the server is away. */
let lastListed: "list" | "empty" | null = null;

/** Returns how long to wait before the next look, or null when only the person can change something. */
function render(answer: Answer<readonly StreamInfo[]>): number | null {
  switch (answer.kind) {
    case "ok": {
      list.update(answer.value, ports);
      const empty = answer.value.length === 0;
      if (empty && main.dataset["state"] !== "empty") publish.open = true;
      lastListed = empty ? "empty" : "list";
      show(lastListed, null, false);
      return REFRESH_MS;
    }
    case "unreachable": {
      const text = "The connection failed. This page goes on trying and continues by itself.";
      show(lastListed ?? "notice", { title: "The server does not answer", text }, true);
      return REFRESH_MS;
    }
    case "refused": {
      show("notice", refusal(answer.status, answer.message), true);
      // Each request without a valid login makes the browser ask for one: never repeat it unasked.
      return answer.status === 401 ? null : REFUSED_REFRESH_MS;
    }
  }
}

async function learnServer(): Promise<void> {
  const info = await serverInfo();
  if (info.kind !== "ok") return;
  infoKnown = true;
  ports = info.value.ports;
  setText(byId("version", HTMLSpanElement), info.value.version);
  fillExamples();
}

function fillExamples(): void {
  const url = rtmpUrl(EXAMPLE_CODE, ports) ?? `rtmp://${location.hostname}/live/${EXAMPLE_CODE}`;
  const obs = splitForObs(url);
  const body = `{"inputs": [{"url": "publish://", "priority": 0}]}`;
  setText(
    byId("example-add", HTMLPreElement),
    `curl -X POST ${location.origin}/streams/${EXAMPLE_CODE} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`,
  );
  setText(
    byId("example-ffmpeg", HTMLPreElement),
    `ffmpeg -re -stream_loop -1 -i video.mp4 -c:v libx264 -preset veryfast -bf 0 -g 60 \\\n` +
      `  -b:v 3M -c:a aac -b:a 128k -f flv ${url}`,
  );
  setText(byId("obs-server", HTMLElement), obs.server);
  setText(byId("obs-key", HTMLElement), obs.key);
}

async function refresh(): Promise<void> {
  window.clearTimeout(timer);
  const began = performance.now();
  const answer = await listStreams();
  if (answer.kind === "ok" && !infoKnown) await learnServer();
  // After a restart the ports may be others.
  if (answer.kind === "unreachable") infoKnown = false;
  const rest = render(answer);
  if (rest === null || document.hidden) return;
  timer = window.setTimeout(refresh, Math.max(rest, REST_FACTOR * (performance.now() - began)));
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copies]")) {
  const source = byId(button.dataset["copies"] ?? "", HTMLElement);
  wireCopyButton(button, () => source.textContent ?? "");
}
retry.addEventListener("click", () => location.reload());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void refresh();
});
fillExamples();
void refresh();
