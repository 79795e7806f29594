/** Looks at a stream's playlists without playing them: is it there, may we have it, does it grow? */

export type Sight =
  | { readonly kind: "there"; readonly newest: string }
  /** The server answers, but has nothing to play yet. */
  | { readonly kind: "absent"; readonly message: string }
  | { readonly kind: "denied"; readonly message: string }
  | { readonly kind: "unreachable" };

/** The server holds the playlist of a stream that is not on the air yet for 10 s before it answers 503. */
const TIMEOUT_MS = 15_000;
const DENIED = [401, 403];

export async function look(url: string): Promise<Sight> {
  const abort = new AbortController();
  const timer = window.setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    return await follow(url, abort.signal);
  } catch {
    return { kind: "unreachable" };
  } finally {
    window.clearTimeout(timer);
  }
}

async function follow(url: string, signal: AbortSignal): Promise<Sight> {
  const response = await fetch(url, { signal, cache: "no-store" });
  const text = await response.text();
  if (DENIED.includes(response.status)) return { kind: "denied", message: errorMessage(text) };
  // A 503 asks programs to ask again; to a person it says no more than that nothing is on the air.
  if (response.status === 503) return { kind: "absent", message: "" };
  if (!response.ok) return { kind: "absent", message: errorMessage(text) };
  if (!text.startsWith("#EXTM3U")) return { kind: "absent", message: "The answer is not a playlist." };
  const child = text.includes("#EXT-X-STREAM-INF") ? lastUri(text) : null;
  if (child !== null) return follow(new URL(child, response.url).href, signal);
  return { kind: "there", newest: newestOf(text) };
}

function lastUri(text: string): string | null {
  const uris = text.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
  return uris[uris.length - 1] ?? null;
}

/** What changes exactly when media was added: the sequence number and the newest part and segment. */
function newestOf(text: string): string {
  const sequence = /#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? "";
  const parts = text.match(/#EXT-X-PART:.*URI="[^"]*"/g);
  return `${sequence} ${lastUri(text) ?? ""} ${parts?.[parts.length - 1] ?? ""}`;
}

function errorMessage(text: string): string {
  try {
    const message: unknown = JSON.parse(text)?.error?.message;
    return typeof message === "string" ? message : "";
  } catch {
    return "";
  }
}
