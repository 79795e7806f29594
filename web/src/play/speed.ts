/**
 * How fast to play so that the picture stays as far from the live edge as the playlist asks.
 *
 * hls.js has a rule of its own, which turns its rate on and off at one threshold, several times a second when the
 * playlist is good: that can be heard. This one looks at the mean of some seconds, begins late, ends early and
 * changes the rate by too little to hear.
 */

/** The weight of the newest look, twice a second: the mean is one of about two seconds. */
const NEWEST_WEIGHT = 0.25;
/** So far from the target the rate changes, and so near to it, it is 1 again. */
const BEGIN_S = 0.25;
const END_S = 0.05;
const FASTER = 1.03;
const SLOWER = 0.97;
/** From farther away than this a second takes 20 s instead of 33 s to catch up. */
const FAR_S = 0.75;
const FAST = 1.05;
/** Playing faster from a thin buffer ends in a stall. */
const AHEAD_SHARE_OF_TARGET = 0.6;

export class LiveSpeed {
  private meanS: number | null = null;
  private chosen = 1;

  /** The rate at which to play now. */
  get rate(): number {
    return this.chosen;
  }

  /** Another position, another playlist: what was seen before says nothing any more. */
  reset(): void {
    this.meanS = null;
    this.chosen = 1;
  }

  /** A look, twice a second. `offS`: how much farther from the live edge than it should be; `aheadS`: buffered. */
  look(offS: number, aheadS: number, targetS: number): void {
    this.meanS = this.meanS === null ? offS : this.meanS + NEWEST_WEIGHT * (offS - this.meanS);
    this.chosen = this.choose(this.meanS, aheadS < AHEAD_SHARE_OF_TARGET * targetS);
  }

  private choose(meanS: number, thin: boolean): number {
    if (thin && meanS > 0) return 1;
    if (meanS > FAR_S) return FAST;
    if (meanS > BEGIN_S) return Math.max(this.chosen, FASTER);
    if (meanS < -BEGIN_S) return SLOWER;
    const goesOn = this.chosen > 1 ? meanS > END_S : meanS < -END_S;
    return goesOn ? this.chosen : 1;
  }
}
