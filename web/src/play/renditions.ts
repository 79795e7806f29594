/** Sound beside video: see the server's multivariant playlist. */
const SOUND = "audio.m3u8";

/**
 * Whether an engine that began with the renditions `played` must start anew, since the stream now has
 * `offered`: one is new, or the picture is gone. Sound that is gone is no reason as long as the picture moves:
 * the server goes on with silence where it can, and when the sound comes back it is heard at once.
 */
export function isOutdated(played: readonly string[], offered: readonly string[], moves: boolean): boolean {
  if (offered.some((name) => !played.includes(name))) return true;
  const gone = played.filter((name) => !offered.includes(name));
  return gone.some((name) => name !== SOUND || !moves);
}
