import type { Life } from './stats'

/** What is seen of a media connection at one moment. Times in milliseconds. */
export interface Seen extends Life {
  at: number
  connection: RTCPeerConnectionState
  ice: RTCIceConnectionState
  /** Whether packets come by themselves, because this page sends and is reported on. */
  lively: boolean
}

/** `restart`: the same connection on another path (ICE restart). `renew`: a fresh connection. */
export type Cure = 'none' | 'restart' | 'renew'

/** From this silence on a path counts as lost: with a look every half second it is noticed in under 2 s. */
export const silence = 1200
/** And from this one on where the media server sends by another path: it does not hear this page by the one in use. */
export const doubt = 400
/** A page that sends nothing hears only answers to its checks, about every 2.5 s. */
export const longSilence = 4000
/** How long a cure is given before the next. */
export const patience = 2000
/** And one that asks nobody: a few round trips. */
export const alonePatience = 700
/** A first connection takes longer on a slow path. */
const firstPatience = 6000
const restarts = 2

/**
 * Decides from what is seen whether a media connection needs a cure. One
 * instance per connection that the page holds; it goes on when the connection
 * is renewed.
 */
export class LinkWatch {
  private path = ''
  private received = -1
  /** What had come by other paths when the one in use was heard last. */
  private elsewhere = 0
  private heard: number
  private cured = -Infinity
  private patience = patience
  private tries = 0
  private wasUp = false
  /** When the loss was noticed that is not over yet; null while all is well. */
  lostAt: number | null = null

  constructor(now: number) {
    this.heard = now
  }

  /** A fresh connection was begun, or a restart offered, or one begun that is `alone`. */
  began(now: number, fresh: boolean, alone = false) {
    this.cured = now
    this.patience = alone ? alonePatience : patience
    if (!fresh) return
    this.received = -1
    this.wasUp = false
  }

  see({ at, path, received, elsewhere, connection, ice, lively }: Seen): Cure {
    if ((received > this.received || path !== this.path) && connection === 'connected') {
      this.path = path
      this.received = received
      this.elsewhere = elsewhere
      this.heard = at
      if (ice !== 'disconnected') {
        this.wasUp = true
        this.tries = 0
        this.lostAt = null
      }
    }
    const broken = connection === 'failed' || connection === 'closed' || ice === 'failed'
    const quiet = at - this.heard > (elsewhere > this.elsewhere ? doubt : lively ? silence : longSilence)
    const slow = !this.wasUp && at - this.cured > firstPatience
    if (!broken && !slow && !(this.wasUp && (quiet || ice === 'disconnected'))) return 'none'
    this.lostAt ??= at
    // A cure that has just begun is left to work.
    if (at - this.cured < (broken && this.tries === 0 ? 0 : this.patience)) return 'none'
    this.cured = at
    this.tries++
    return broken || slow || this.tries > restarts ? 'renew' : 'restart'
  }

  /** The machine's network changed: what holds now may be about to go. */
  changed(at: number): Cure {
    if (!this.wasUp || at - this.cured < 500) return 'none'
    this.cured = at
    return 'restart'
  }
}
