/**
 * Runs works one after the other, in the order in which they came. What fails is
 * told and stops nothing.
 */
export class Turns {
  private last: Promise<void> = Promise.resolve()
  private readonly failed: (thrown: unknown) => void

  constructor(failed: (thrown: unknown) => void) {
    this.failed = failed
  }

  /** Is over when the work is, whether it failed or not. */
  run(work: () => Promise<void> | void): Promise<void> {
    this.last = this.last.then(work).catch(this.failed)
    return this.last
  }
}
