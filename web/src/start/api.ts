/** What the start page reads from the REST interface, and how a refusal is told apart from a breakdown. */
import type { Ports } from "../common/urls";

export interface TrackInfo {
  readonly kind?: string;
  readonly codec?: string;
  readonly bitrate_kbps?: number;
  readonly width?: number;
  readonly height?: number;
}

export interface Runtime {
  readonly status?: string;
  readonly reasons?: readonly string[] | null;
  readonly uptime_sec?: number | null;
  readonly media?: {
    readonly input_bitrate_kbps?: number | null;
    readonly inputs?: readonly TrackInfo[] | null;
    readonly outputs?: readonly TrackInfo[] | null;
  } | null;
}

export interface StreamInfo {
  readonly code: string;
  readonly name?: string | null;
  readonly description?: string | null;
  readonly stream_key?: string | null;
  readonly disabled?: boolean | null;
  readonly source?: string;
  readonly inputs?: readonly { readonly url?: string }[] | null;
  readonly protocols?: { readonly hls?: boolean | null } | null;
  readonly runtime?: Runtime | null;
}

export type Answer<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "unreachable" }
  | { readonly kind: "refused"; readonly status: number; readonly message: string };

const TIMEOUT_MS = 10_000;

async function get<T>(path: string, read: (body: unknown) => T): Promise<Answer<T>> {
  const abort = new AbortController();
  const timer = window.setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(path, { headers: { Accept: "application/json" }, signal: abort.signal });
    const body: unknown = await response.json().catch(() => null);
    if (response.ok) return { kind: "ok", value: read(body) };
    return { kind: "refused", status: response.status, message: errorMessage(body) };
  } catch {
    return { kind: "unreachable" };
  } finally {
    window.clearTimeout(timer);
  }
}

function errorMessage(body: unknown): string {
  const error = (body as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" ? error.message : "";
}

export function listStreams(): Promise<Answer<readonly StreamInfo[]>> {
  return get("/streams", (body) => {
    const data = (body as { data?: unknown } | null)?.data;
    return Array.isArray(data) ? (data as StreamInfo[]) : [];
  });
}

export interface ServerInfo {
  readonly ports: Ports;
  readonly version: string;
}

export function serverInfo(): Promise<Answer<ServerInfo>> {
  return get("/config", (body) => {
    const config = body as {
      ports?: { rtmp_port?: unknown };
      version?: { version?: unknown };
    } | null;
    const rtmp = Number(config?.ports?.rtmp_port);
    const version = config?.version?.version;
    return {
      ports: { rtmp: Number.isInteger(rtmp) && rtmp > 0 ? rtmp : null },
      version: typeof version === "string" ? version : "",
    };
  });
}
