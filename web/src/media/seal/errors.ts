/**
 * Why a message or frame is refused. Every refusal leaves the group unchanged.
 * The words are those of package sealing in Go.
 */
export type Refusal =
  | 'malformed'
  | 'signature'
  | 'chain'
  | 'statement'
  | 'admission'
  | 'expired'
  | 'unknown-member'
  | 'member'
  | 'roster'
  | 'chair'
  | 'stale'
  | 'fork'
  | 'not-on-roster'
  | 'epoch'
  | 'wrap'
  | 'second-key'
  | 'replay'
  | 'track'
  | 'no-key'
  | 'frame'
  | 'origin'
  | 'heartbeat'
  | 'exhausted'

export class SealError extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal, what: string) {
    super(`${refusal}: ${what}`)
    this.name = 'SealError'
    this.refusal = refusal
  }
}

/** Runs check and gives any failure of it the name of a refusal. */
export async function refusing<T>(refusal: Refusal, check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (thrown) {
    if (thrown instanceof SealError && !['malformed', 'signature', 'chain'].includes(thrown.refusal)) throw thrown
    throw new SealError(refusal, thrown instanceof Error ? thrown.message : 'it does not hold')
  }
}
