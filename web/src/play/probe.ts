/** Looks at a stream's playlists without playing them: is it there, may we have it, does it grow, what has it? */
import { variantsOf, type Variant } from "./codecs";

/** What a multivariant playlist lists; nothing, when the stream has none. */
export interface Offer {
  /** See renditionsOf. */
  readonly renditions: readonly string[];
  readonly variants: readonly Variant[];
}

export type Sight =
  | { readonly kind: "there"; readonly newest: string; readonly offer: Offer }
  /** The server answers, but has nothing to play yet. */
  | { readonly kind: "absent"; readonly message: string }
  | { readonly kind: "denied"; readonly message: string }
  | { readonly kind: "unreachable" };

/** The server holds the playlist of a stream that is not on the air yet for 10 s before it answers 503. */
const TIMEOUT_MS = 15_000;
const DENIED = [401, 403];

export async function look(url: string): Promise<Sight> {
  try {
    return await follow(url, AbortSignal.timeout(TIMEOUT_MS), { renditions: [], variants: [] });
  } catch {
    return { kind: "unreachable" };
  }
}

/** What the stream offers now, or null when that cannot be said at the moment. */
export async function lookForOffer(url: string): Promise<Offer | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    const text = await response.text();
    return response.ok && isMultivariant(text) ? offerOf(text, response.url) : null;
  } catch {
    return null;
  }
}

async function follow(url: string, signal: AbortSignal, offer: Offer): Promise<Sight> {
  const response = await fetch(url, { signal, cache: "no-store" });
  const text = await response.text();
  if (DENIED.includes(response.status)) return { kind: "denied", message: errorMessage(text) };
  // A 503 asks programs to ask again; to a person it says no more than that nothing is on the air.
  if (response.status === 503) return { kind: "absent", message: "" };
  if (!response.ok) return { kind: "absent", message: errorMessage(text) };
  if (!text.startsWith("#EXTM3U")) return { kind: "absent", message: "The answer is not a playlist." };
  const child = isMultivariant(text) ? lastUri(text) : null;
  if (child !== null) return follow(new URL(child, response.url).href, signal, offerOf(text, response.url));
  return { kind: "there", newest: newestOf(text), offer };
}

function isMultivariant(text: string): boolean {
  return text.includes("#EXT-X-STREAM-INF");
}

function offerOf(text: string, base: string): Offer {
  return { renditions: renditionsOf(text), variants: variantsOf(text, base) };
}

/** The names of the playlists that a multivariant playlist lists, without the token. */
function renditionsOf(text: string): string[] {
  const quoted = [...text.matchAll(/^#EXT-X-MEDIA:.*URI="([^"]*)"/gm)].map((found) => found[1] ?? "");
  const lines = text.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
  return [...quoted, ...lines].map((uri) => uri.replace(/\?.*$/, ""));
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
