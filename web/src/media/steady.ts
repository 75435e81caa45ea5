/** Share of sound made up from which on a voice is held longer, and below which it is calm again. */
const worse = 0.004
const calm = 0.001
/** So many calm looks in a row, one every two seconds, before it is held no longer. */
const calmLooks = 15
/**
 * Milliseconds for which a voice is held then: long enough for what is missing to
 * be asked for and to come. Chromium by itself plays on before that.
 */
export const steadyHold = 100

/** How long one voice is held before it is played. Delay is what talk suffers from most: it is bought only while words are lost. */
export class Steady {
  private quiet = 0
  private hold = 0

  /** Takes the share that was made up since the last look; gives milliseconds, 0 as the browser likes. */
  see(concealed: number): number {
    if (concealed > worse) this.hold = steadyHold
    this.quiet = concealed < calm ? this.quiet + 1 : 0
    if (this.quiet >= calmLooks) this.hold = 0
    return this.hold
  }
}
