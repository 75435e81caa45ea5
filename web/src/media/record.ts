import type * as signed from '../api/signed'
import type * as words from '../api/words'

/** How long a recorder's word counts; with the sign's own tick the page leaves "on record" within 2 s. */
export const heartbeatLife = 1_500_000

/** The last verified heartbeat of one recorder, and when this page got it. */
export interface Beat {
  heartbeat: signed.Heartbeat
  /** performance time in microseconds: it never jumps */
  arrived: number
}

export type Sign = 'on' | 'off' | 'checking'

/**
 * Decides the "on record" sign from what this page verified itself: the phase
 * alone, which is the server's word, never turns it on.
 */
export function signOf(phase: words.Phase, beats: Iterable<Beat>, now: { performance: number; hearing: words.Micros }): Sign {
  if (phase !== 'on-record') return 'off'
  for (const beat of beats) if (durable(beat, now)) return 'on'
  return 'checking'
}

/**
 * Whether a heartbeat counts here: of a recorder that shares the keys in force,
 * and that has everything of what this page sends. A recorder outside the keys
 * goes on beating, and keeps nothing.
 */
export function counts({ member, tracks }: signed.Heartbeat, keyed: readonly words.MemberID[], own: readonly words.TrackID[]): boolean {
  return keyed.includes(member) && own.every((track) => (tracks ?? []).some((kept) => kept.track === track))
}

/** Whether a recorder keeps what is said now. */
export function durable(beat: Beat, now: { performance: number; hearing: words.Micros }): boolean {
  return (
    beat.heartbeat.state === 'recording' &&
    now.performance - beat.arrived < heartbeatLife &&
    now.hearing - beat.heartbeat.durable < heartbeatLife + 500_000
  )
}

/** What people are told of a recorder; `ready` is one in the room that is outside the keys, as in a pause. */
export type ShownRecorder = words.RecorderState | 'away' | 'ready'

export function recorderState(beat: Beat | undefined, now: { performance: number }): words.RecorderState | 'away' {
  if (beat === undefined || now.performance - beat.arrived >= heartbeatLife) return 'away'
  return beat.heartbeat.state
}
