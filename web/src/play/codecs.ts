/** What of a multivariant playlist a browser can play (rfc8216bis section 4.4.6.2, CODECS), before it tries. */

export interface Variant {
  readonly url: string;
  /** Empty when the playlist does not say. */
  readonly codecs: readonly string[];
}

/** `type` as MediaSource.isTypeSupported takes it. */
export type Supports = (type: string) => boolean;

export type Verdict =
  | { readonly kind: "everything" }
  /** The variant at `url` without its sound; `missing` names what its sound would need. */
  | { readonly kind: "picture"; readonly url: string; readonly missing: string }
  | { readonly kind: "nothing"; readonly missing: string };

const VIDEO_CODECS = ["avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "av01", "vp08", "vp09"];
/** Longer prefixes come first: mp4a.40.34 (and the older forms) is MP3, every other mp4a.40 is AAC. */
const NAMES: readonly (readonly [prefix: string, name: string])[] = [
  ["mp4a.40.34", "MP3"],
  ["mp4a.69", "MP3"],
  ["mp4a.6b", "MP3"],
  ["mp4a", "AAC"],
  ["ac-3", "AC-3"],
  ["ec-3", "E-AC-3"],
  ["opus", "Opus"],
  ["avc", "H.264"],
  ["hvc1", "H.265"],
  ["hev1", "H.265"],
  ["av01", "AV1"],
  ["vp09", "VP9"],
];

/** The variants of a multivariant playlist that came from `base`; none of another playlist. */
export function variantsOf(text: string, base: string): Variant[] {
  const variants: Variant[] = [];
  let attributes: string | null = null;
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#EXT-X-STREAM-INF:")) attributes = line;
    if (attributes === null || line === "" || line.startsWith("#")) continue;
    const listed = /[:,]CODECS="([^"]*)"/.exec(attributes)?.[1] ?? "";
    const codecs = listed.split(",").map((codec) => codec.trim());
    variants.push({ url: new URL(line, base).href, codecs: codecs.filter((codec) => codec !== "") });
    attributes = null;
  }
  return variants;
}

/** Everything when one variant plays whole (players leave the others out); a picture goes without its sound. */
export function judge(variants: readonly Variant[], supports: Supports): Verdict {
  const first = variants[0];
  if (first === undefined) return { kind: "everything" };
  const missingOf = ({ codecs }: Variant): string[] => codecs.filter((codec) => !supports(typeOf(codec)));
  if (variants.some((variant) => missingOf(variant).length === 0)) return { kind: "everything" };
  const picture = variants.find((variant) => variant.codecs.some(isVideo) && !missingOf(variant).some(isVideo));
  if (picture === undefined) return { kind: "nothing", missing: named(missingOf(first)) };
  return { kind: "picture", url: picture.url, missing: named(missingOf(picture)) };
}

function isVideo(codec: string): boolean {
  return VIDEO_CODECS.includes(codec.slice(0, 4).toLowerCase());
}

function typeOf(codec: string): string {
  return `${isVideo(codec) ? "video" : "audio"}/mp4; codecs="${codec}"`;
}

function named(codecs: readonly string[]): string {
  return codecs.map(codecName).join(" and ");
}

/** What people call it; the codec string itself when it is none that we know. */
function codecName(codec: string): string {
  const known = NAMES.find(([prefix]) => codec.toLowerCase().startsWith(prefix));
  return known?.[1] ?? codec;
}
