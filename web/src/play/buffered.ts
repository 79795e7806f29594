/** Seconds of media that are buffered from the shown picture on, or null when there is none at all. */
export function bufferedAheadS(video: HTMLVideoElement): number | null {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + 0.1 && currentTime < buffered.end(i)) {
      return buffered.end(i) - currentTime;
    }
  }
  return null;
}
