/** Numbers and names as people read them. Pure functions. */

const CODEC_NAMES: Readonly<Record<string, string>> = {
  h264: "H.264",
  h265: "H.265",
  av1: "AV1",
  vp9: "VP9",
  aac: "AAC",
  opus: "Opus",
  mp3: "MP3",
  ac3: "AC-3",
  eac3: "E-AC-3",
};

export function codecName(codec: string): string {
  return CODEC_NAMES[codec.toLowerCase()] ?? codec;
}

export function bitrate(kbps: number): string {
  if (!Number.isFinite(kbps) || kbps < 0) return "–";
  if (kbps >= 1000) return `${(kbps / 1000).toFixed(kbps >= 100_000 ? 0 : 1)} Mbit/s`;
  return `${Math.round(kbps)} kbit/s`;
}

/** "42 s", "7 min 03 s", "5 h 12 min", "12 d 4 h": two units at most. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "–";
  const whole = Math.floor(seconds);
  const pad = (value: number): string => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

export function secondsShort(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
}
