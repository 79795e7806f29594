/** The addresses of a stream, as the browser sees this server. */

export interface Ports {
  /** The RTMP port, or null when the server does not listen for RTMP or has not said. */
  readonly rtmp: number | null;
}

const RTMP_DEFAULT_PORT = 1935;

/** Codes may hold slashes; each segment is escaped, the slashes stay. */
export function escapeCode(code: string): string {
  return code.split("/").map(encodeURIComponent).join("/");
}

export function playerPath(code: string): string {
  return `/play/${escapeCode(code)}`;
}

export function hlsUrl(code: string): string {
  return `${location.origin}/${escapeCode(code)}/index.m3u8`;
}

/** Codes of one segment are published below live/, longer ones under their own path. */
export function rtmpUrl(code: string, ports: Ports): string | null {
  if (ports.rtmp === null) return null;
  const port = ports.rtmp === RTMP_DEFAULT_PORT ? "" : `:${ports.rtmp}`;
  const path = code.includes("/") ? code : `live/${code}`;
  return `rtmp://${location.hostname || "localhost"}${port}/${path}`;
}

/** OBS asks for the address in two fields: everything up to the last slash, and the rest. */
export function splitForObs(url: string): { readonly server: string; readonly key: string } {
  const at = url.lastIndexOf("/");
  return { server: url.slice(0, at), key: url.slice(at + 1) };
}
