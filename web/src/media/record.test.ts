import { describe, expect, it } from 'vitest'
import type * as signed from '../api/signed'
import { constantRate } from './sdp'
import { counts, heartbeatLife, recorderState, signOf, type Beat } from './record'

const second = 1_000_000
const beat = (state: 'recording' | 'behind' | 'failed' | 'stopped', durable: number, arrived: number): Beat => ({
  heartbeat: { state, durable } as signed.Heartbeat,
  arrived,
})
const at = (seconds: number) => ({ performance: seconds * second, hearing: seconds * second })

// H1: recorder death is visible within 2 s, whatever the server says.
describe('the "on record" sign', () => {
  it.each([
    ['on while a fresh heartbeat shows durable data', 'on-record', [beat('recording', 9.8 * second, 9.9 * second)], 'on'],
    ['not on by the phase alone', 'on-record', [], 'checking'],
    ['not on by an old heartbeat', 'on-record', [beat('recording', 8 * second, 8.4 * second)], 'checking'],
    ['not on by a fresh heartbeat with old data', 'on-record', [beat('recording', 7 * second, 9.9 * second)], 'checking'],
    ['not on while the recorder is behind', 'on-record', [beat('behind', 9.8 * second, 9.9 * second)], 'checking'],
    ['on when one of two recorders suffices', 'on-record', [beat('failed', 0, 9.9 * second), beat('recording', 9.8 * second, 9.9 * second)], 'on'],
    ['off in a pause, whatever the recorder says', 'paused', [beat('recording', 9.8 * second, 9.9 * second)], 'off'],
  ] as const)('is %s', (_, phase, beats, want) => {
    expect(signOf(phase, beats, at(10))).toBe(want)
  })

  it('goes within 2 s of the last heartbeat, the tick of a quarter second included', () => {
    const last = beat('recording', 10 * second, 10 * second)
    expect(signOf('on-record', [last], at(10 + 2 - 0.25))).toBe('checking')
    expect(heartbeatLife + 250_000).toBeLessThan(2 * second)
  })

  it('calls a silent recorder away', () => {
    expect(recorderState(beat('recording', 0, 0), at(4))).toBe('away')
    expect(recorderState(undefined, at(0))).toBe('away')
    expect(recorderState(beat('behind', 0, 3.9 * second), at(4))).toBe('behind')
  })
})

// H1: the server's phase cannot turn the sign on with a recorder that keeps nothing of this page.
describe('a heartbeat', () => {
  const tracks: signed.TrackDurable[] = [{ track: 'trk_a', durable: 1 }, { track: 'trk_b', durable: 1 }]
  const heartbeat: signed.Heartbeat = {
    v: 1, hearing: 'hrg_h', group: 'grp_h', member: 'mem_r', recording: 'rec_r', state: 'recording', seq: 1, durable: 1, now: 1, tracks, head: '',
  }
  it.each([
    ['counts of a recorder with the keys that has all own tracks', ['mem_p', 'mem_r'], ['trk_a', 'trk_b'], true],
    ['counts where the page sends nothing', ['mem_r'], [], true],
    ['does not count of a recorder outside the keys', ['mem_p'], ['trk_a'], false],
    ['does not count before there is a roster', [], [], false],
    ['does not count when one own track is missing', ['mem_r'], ['trk_a', 'trk_c'], false],
  ] as const)('%s', (_, keyed, own, want) => {
    expect(counts(heartbeat, keyed, own)).toBe(want)
  })
  it('without tracks does not count for who sends', () => {
    expect(counts({ ...heartbeat, tracks: null }, ['mem_r'], ['trk_a'])).toBe(false)
  })
})

describe('the offer', () => {
  it('asks for Opus in constant bit rate, whatever number it has', () => {
    const sdp = 'a=rtpmap:109 opus/48000/2\r\na=fmtp:109 minptime=10;useinbandfec=0\r\na=fmtp:96 x=1\r\n'
    expect(constantRate(sdp)).toBe('a=rtpmap:109 opus/48000/2\r\na=fmtp:109 minptime=10;useinbandfec=1;cbr=1\r\na=fmtp:96 x=1\r\n')
    expect(constantRate(constantRate(sdp))).toBe(constantRate(sdp))
  })
})
