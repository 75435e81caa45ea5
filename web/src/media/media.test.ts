import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type * as words from '../api/words'
import type { Slot } from '../api/wire'
import { readSound, usualSound } from './capture'
import { hear, judge, judgeSilence, powerAt, rowOf, timing, tones, type Heard, type Played } from './echo'
import { MutedTalk } from './level'
import { alonePatience, doubt, LinkWatch, longSilence, patience, silence, type Cure, type Seen } from './link'
import { ducked, gainsOf, hold, Holding, isInterpreter } from './mix'
import { ownTracks, type OwnTrack } from './peer'
import { advised, encodingsOf, layersFor, publishingOf } from './publishing'
import { generations, withGeneration, constantRate, layersTurned, withVoiceForm, withVoiceRepair } from './sdp'
import { flows, gradeOf, lifeOf, type Stat } from './stats'
import { readStay } from './stay'
import { Steady, steadyHold } from './steady'
import { Pace, stepOf, wishOf } from './wishes'

const member = (n: number): words.MemberID => `mem_${n}`
const track = (n: number): words.TrackID => `trk_${n}`

describe('a media connection that is watched', () => {
  const well: Omit<Seen, 'at' | 'received'> = { path: 'P', elsewhere: 0, connection: 'connected', ice: 'connected', lively: true }
  /** Looks every half second; what comes in between is told by `packets`. */
  function look(watch: LinkWatch, from: number, to: number, packets: (at: number) => number, rest: Partial<Seen> = {}): [number, Cure][] {
    const cures: [number, Cure][] = []
    for (let at = from; at <= to; at += 500) {
      const cure = watch.see({ ...well, ...rest, at, received: packets(at) })
      if (cure !== 'none') {
        cures.push([at, cure])
        watch.began(at, cure === 'renew')
      }
    }
    return cures
  }

  it('is left alone while packets come', () => {
    expect(look(new LinkWatch(0), 0, 60_000, (at) => at)).toEqual([])
  })

  it('is known to be lost in under 2 s, and tries another path first', () => {
    const watch = new LinkWatch(0)
    const cures = look(watch, 0, 10_500, (at) => Math.min(at, 5000))
    const [at, cure] = cures[0]
    expect(at - 5000).toBeLessThan(2000)
    expect(at - 5000).toBeGreaterThan(silence)
    expect(cure).toBe('restart')
    expect(watch.lostAt).toBe(at)
    // Each is given time; what does not help twice is given up.
    expect(cures.map(([, c]) => c).slice(0, 3)).toEqual(['restart', 'restart', 'renew'])
    expect(cures[1][0] - at).toBeGreaterThanOrEqual(patience)
  })

  it('is well again with the first packet', () => {
    const watch = new LinkWatch(0)
    look(watch, 0, 7000, (at) => Math.min(at, 5000))
    expect(watch.lostAt).not.toBeNull()
    look(watch, 7500, 8000, (at) => at)
    expect(watch.lostAt).toBeNull()
    expect(look(watch, 8500, 20_000, (at) => at)).toEqual([])
  })

  it('is begun anew at once when it has failed', () => {
    const watch = new LinkWatch(0)
    look(watch, 0, 3000, (at) => at)
    expect(watch.see({ ...well, at: 3500, received: 3000, connection: 'failed' })).toBe('renew')
  })

  it('is begun anew when it never comes up', () => {
    expect(look(new LinkWatch(0), 0, 20_000, () => 0, { connection: 'connecting', ice: 'checking' })[0]?.[1]).toBe('renew')
  })

  it('is known sooner to be lost where the media server sends by another path', () => {
    const watch = new LinkWatch(0)
    look(watch, 0, 5000, (at) => at)
    expect(watch.see({ ...well, at: 5300, received: 5000, elsewhere: 10 })).toBe('none')
    expect(watch.see({ ...well, at: 5000 + doubt + 1, received: 5000, elsewhere: 20 })).toBe('restart')
    // Once that path is in use it is counted by itself.
    expect(watch.see({ ...well, at: 6000, path: 'Q', received: 30, elsewhere: 5000 })).toBe('none')
    expect(watch.lostAt).toBeNull()
  })

  it('is given less time where a restart asked nobody', () => {
    const watch = new LinkWatch(0)
    look(watch, 0, 5000, (at) => at)
    expect(watch.changed(5000)).toBe('restart')
    watch.began(5000, false, true)
    expect(watch.see({ ...well, at: 5600, received: 5000, elsewhere: 10 })).toBe('none')
    expect(watch.see({ ...well, at: 5000 + alonePatience, received: 5000, elsewhere: 20 })).toBe('restart')
    watch.began(5800, false)
    expect(watch.see({ ...well, at: 5800 + alonePatience, received: 5000, elsewhere: 30 })).toBe('none')
  })

  it('is not lost because something late comes by the path before', () => {
    const watch = new LinkWatch(0)
    look(watch, 0, 5000, (at) => at)
    expect(watch.see({ ...well, at: 5500, path: 'Q', received: 1, elsewhere: 5000 })).toBe('none')
    expect(watch.see({ ...well, at: 6000, path: 'Q', received: 20, elsewhere: 5003 })).toBe('none')
  })

  it('is given longer where nothing is sent and so nothing reported', () => {
    const watch = new LinkWatch(0)
    look(watch, 0, 1000, (at) => at, { lively: false })
    expect(look(watch, 1500, 1000 + longSilence, () => 1000, { lively: false })).toEqual([])
    expect(look(watch, 1500 + longSilence, 2500 + longSilence, () => 1000, { lively: false })[0]?.[1]).toBe('restart')
  })

  it('takes another path when the network changes, once', () => {
    const watch = new LinkWatch(0)
    expect(watch.changed(0)).toBe('none') // not up yet
    look(watch, 0, 2000, (at) => at)
    expect(watch.changed(2100)).toBe('restart')
    expect(watch.changed(2200)).toBe('none')
  })
})

describe('wishes', () => {
  const slot = (n: number, source: words.Source, from: number): Slot => ({ mid: String(n), member: member(from), track: track(n), source, number: 0 })
  const slots = [slot(1, 'video', 1), slot(2, 'video', 2), slot(3, 'video', 3), slot(4, 'audio', 1), slot(5, 'audio', 2)]

  it('put the large face first, then who speaks, and want nothing of what is not shown', () => {
    const heights = new Map([[track(1), 620], [track(2), 170]])
    expect(wishOf(slots, { heights, fresh: new Set(), speakers: [member(2)], followed: [] })).toEqual([
      { track: track(1), rank: 0, height: 720, off: false },
      { track: track(2), rank: 1, height: 180, off: false },
      { track: track(3), rank: 2, height: 0, off: true },
    ])
  })

  it('say nothing of a picture that has just come and has no tile yet', () => {
    const wish = wishOf(slots, { heights: new Map([[track(1), 620]]), fresh: new Set([track(1), track(2)]), speakers: [], followed: [] })
    expect(wish).toEqual([{ track: track(1), rank: 0, height: 720, off: false }, { track: track(3), rank: 1, height: 0, off: true }])
  })

  it('put the latest speaker first among equal tiles', () => {
    const heights = new Map([[track(1), 170], [track(2), 170], [track(3), 170]])
    const order = wishOf(slots, { heights, fresh: new Set(), speakers: [member(3), member(1)], followed: [] }).map((w) => w.track)
    expect(order).toEqual([track(3), track(1), track(2)])
  })

  it('name voices only for who follows some, and have the others not sent (G2)', () => {
    const wish = wishOf(slots, { heights: new Map(), fresh: new Set(), speakers: [], followed: [track(5)] })
    expect(wish.filter((w) => w.rank === 0 && !w.off)).toEqual([{ track: track(5), rank: 0, height: 0, off: false }])
    expect(wish.find((w) => w.track === track(4))).toMatchObject({ off: true })
  })

  it('speak of heights in steps', () => {
    expect([1, 90, 91, 360, 361, 9999].map(stepOf)).toEqual([90, 90, 180, 360, 540, 4320])
  })

  describe('at a pace', () => {
    beforeEach(() => void vi.useFakeTimers())
    afterEach(() => void vi.useRealTimers())
    it('are told at most once a while, the newest last, and never twice the same', () => {
      const told: number[] = []
      const pace = new Pace<number>(300, (n) => told.push(n), () => Date.now())
      for (let i = 0; i < 100; i++) {
        pace.offer(i)
        vi.advanceTimersByTime(10)
      }
      vi.advanceTimersByTime(1000)
      expect(told.length).toBeLessThanOrEqual(5)
      expect(told.at(-1)).toBe(99)
      pace.offer(99)
      vi.advanceTimersByTime(1000)
      expect(told.filter((n) => n === 99)).toHaveLength(1)
      pace.forget()
      pace.offer(99)
      vi.advanceTimersByTime(1000)
      expect(told.filter((n) => n === 99)).toHaveLength(2)
    })
  })
})

describe('a voice that is lost in part', () => {
  it('is held longer until it has been whole for half a minute', () => {
    const steady = new Steady()
    expect([0, 0.002, 0.01, 0.002].map((c) => steady.see(c))).toEqual([0, 0, steadyHold, steadyHold])
    for (let i = 0; i < 14; i++) expect(steady.see(0)).toBe(steadyHold)
    expect(steady.see(0)).toBe(0)
    expect(steady.see(0.01)).toBe(steadyHold)
  })
})

describe('who speaks into a microphone that is off', () => {
  it('is told so after half a second, not at a cough, and until it is quiet for longer than between words', () => {
    const talk = new MutedTalk()
    const looks = (...all: [number, boolean][]) => all.flatMap(([n, loud]) => Array.from({ length: n }, () => talk.see(loud))).at(-1)
    expect(looks([3, true], [10, false])).toBe(false)
    expect(looks([4, true])).toBe(false)
    expect(looks([1, true])).toBe(true)
    expect(looks([20, true], [10, false])).toBe(true)
    expect(looks([30, false])).toBe(false)
    looks([10, true])
    talk.forget() // turned on, and off again
    expect(looks([1, true])).toBe(false)
  })
})

// G2: each listener's mix.
describe('the mix', () => {
  const voices = [{ track: track(1), interpreter: false }, { track: track(2), interpreter: false }, { track: track(3), interpreter: true }]
  it.each([
    ['both', false, [1, 1, 1]],
    ['both', true, [ducked, ducked, 1]],
    ['floor', true, [1, 1, 0]],
    ['interpreter', true, [0, 0, 1]],
    ['interpreter', false, [0, 0, 1]],
  ] as const)('%s, interpreter speaking: %s', (mix, speaking, want) => {
    expect([...gainsOf(mix, voices, speaking).values()]).toEqual(want)
  })

  it('never leaves anybody without sound where nobody interprets', () => {
    expect([...gainsOf('interpreter', voices.slice(0, 2), false).values()]).toEqual([1, 1])
  })

  it('stays lowered over the pauses between words', () => {
    const holding = new Holding()
    expect([[true, 0], [false, hold - 0.1], [false, hold + 0.1]].map(([s, t]) => holding.see(s as boolean, t as number))).toEqual([true, true, false])
  })

  it('knows the interpreter by seat, or by a device of their own', () => {
    const seat = (role: words.Role, id: string) => ({ seat: `set_${id}` as const, participant: 'par_1' as const, role, name: '', salt: '', place: '' })
    const beside = [seat('applicant', '1'), seat('interpreter', '2')]
    expect(isInterpreter({}, beside)).toBe(false)
    expect(isInterpreter({ seat: 'set_2' }, beside)).toBe(true)
    expect(isInterpreter({ seat: 'set_1' }, beside)).toBe(false)
    expect(isInterpreter({}, [beside[1]])).toBe(true)
    expect(isInterpreter({}, [])).toBe(false)
  })
})

describe('what is sent', () => {
  it('has the interpreter on a track of their own where the device has a second microphone, and a place for a screen', () => {
    const [microphone, second, camera] = ['a', 'b', 'v'].map((id) => ({ id, getSettings: () => ({ width: 1280, height: 720 }) }))
    const media = (voices: unknown[]) => ({ getAudioTracks: () => voices, getVideoTracks: () => [camera] }) as unknown as MediaStream
    const seats = [{ seat: 'set_1' as const, role: 'applicant' as const }, { seat: 'set_2' as const, role: 'interpreter' as const }]
    const shape = (all: OwnTrack[]) => all.map((t) => [t.source, t.number, t.seat, t.media])
    expect(shape(ownTracks(media([microphone, second]), seats))).toEqual([['audio', 0, undefined, microphone], ['video', 1, undefined, camera], ['audio', 3, 'set_2', second]])
    expect(shape(ownTracks(media([microphone]), seats))).toEqual([['audio', 0, undefined, microphone], ['video', 1, undefined, camera]])
    expect(shape(ownTracks(null, [{ seat: 'set_3', role: 'counsel' }]))).toEqual([['screen', 2, undefined, null]])
  })
  const { layers } = publishingOf(['applicant', 'interpreter'])
  it('is best of the applicant', () => {
    expect(layers[0].bitrate).toBeGreaterThan(publishingOf(['interviewer']).layers[0].bitrate)
    expect(encodingsOf(layers).map((e) => e.rid)).toEqual(['q', 'h', 'f'])
    expect(encodingsOf(layers).map((e) => [e.scaleResolutionDownBy, e.maxBitrate])).toEqual(layers.toReversed().map((l) => [l.scale, l.bitrate]))
    expect(layers.map((l) => l.scale)).toEqual([1, 2, 4])
  })
  it.each([[1280, 720, 3], [960, 540, 3], [640, 360, 2], [320, 180, 1], [0, 0, 1]])('of %d by %d has %d layers, the largest among them', (width, height, want) => {
    expect(layersFor(layers, { width, height }).map((l) => l.rid)).toEqual(['f', 'h', 'q'].slice(0, want))
  })
  it('rests what nobody receives, but never the smallest', () => {
    const wanted = advised(layers, ['f', 'h', 'q'], 0)
    expect([...wanted].filter(([, l]) => l.active).map(([rid]) => rid)).toEqual(['q'])
    expect([...advised(layers, [], 0)].every(([, l]) => l.active)).toBe(true)
  })
  it('shares an advised bit rate', () => {
    const sum = [...advised(layers, ['f'], 300_000)].filter(([, l]) => l.active).reduce((n, [, l]) => n + l.maxBitrate, 0)
    expect(sum).toBeLessThanOrEqual(300_001)
  })
})

describe('session descriptions', () => {
  const audio = (direction: string) =>
    `m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:0\r\na=${direction}\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n`
  const video = 'm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=simulcast:recv f;h;q\r\n'
  const answer = `v=0\r\n${audio('recvonly')}${video}${audio('sendonly')}`

  it('offer to send sound again, once', () => {
    const once = withVoiceRepair(audio('sendonly'))
    expect(once.match(/a=rtcp-fb:111 nack\r\n/g)).toHaveLength(1)
    expect(withVoiceRepair(once)).toBe(once)
  })
  it('turn voices to redundancy and long packets and back, in what is sent alone', () => {
    const turned = withVoiceForm(answer, { red: true, packet: 60 })
    const [, out, , back] = turned.split(/(?=^m=)/m)
    expect(out).toMatch(/^m=audio 9 UDP\/TLS\/RTP\/SAVPF 63 111\r\n/)
    expect(out).toMatch(/a=ptime:60\r\na=maxptime:60\r\n$/)
    expect(back).toBe(audio('sendonly'))
    expect(withVoiceForm(turned, { red: false, packet: 20 })).toBe(answer)
  })
  it('stay plain where the other side cannot', () => {
    const plain = answer.replaceAll(' 111 63', ' 111').replaceAll(/a=(rtpmap|fmtp):63[^\r]*\r\n/g, '')
    expect(withVoiceForm(plain, { red: true, packet: 20 })).toBe(plain)
  })
  it('name layers the other way round to the browser', () => {
    expect(layersTurned(video)).toContain('a=simulcast:recv q;h;f\r\n')
    expect(layersTurned(layersTurned(video))).toBe(video)
  })
  it('are those of another generation for who restarts alone, and before all of before', () => {
    const answer = ['a=ice-ufrag:ABCD', 'a=ice-pwd:secret', 'a=candidate:1 1 udp 536887807 192.0.2.1 7000 typ host', 'a=candidate:2 1 tcp 536887551 192.0.2.1 7000 typ host tcptype passive'].join('\r\n')
    expect(withGeneration(answer, 0)).toBe(answer)
    const again = withGeneration(answer, 2)
    expect(again).toBe(['a=ice-ufrag:ABCD+2', 'a=ice-pwd:secret', 'a=candidate:1 1 udp 536888831 192.0.2.1 7000 typ host', 'a=candidate:2 1 tcp 536888575 192.0.2.1 7000 typ host tcptype passive'].join('\r\n'))
    // The worst of one is better than the best of the one before, and the last is worse than those of the next answer.
    expect(536887551 + generations * 512).toBeLessThan(536887551 + 16_384)
  })
  it('ask for a constant rate', () => {
    expect(constantRate(audio('sendonly'))).toContain('cbr=1')
  })
})

describe('numbers', () => {
  const at = (timestamp: number, more: Partial<Stat>): Stat => ({ id: 'a', type: 'inbound-rtp', kind: 'audio', mid: '3', timestamp, ...more })
  it('count everything that is a sign of life', () => {
    const pair = (id: string, packetsReceived: number | undefined, responsesReceived: number): Stat => ({ id, type: 'candidate-pair', timestamp: 0, packetsReceived, responsesReceived })
    const transport: Stat = { id: 't', type: 'transport', timestamp: 0, packetsReceived: 50, selectedCandidatePairId: 'p' }
    expect(lifeOf([transport, pair('p', 40, 2), pair('q', 10, 9)])).toEqual({ path: 'p', received: 42, elsewhere: 10 })
    // Firefox counts no packets of a path.
    expect(lifeOf([transport, pair('p', undefined, 2)])).toEqual({ path: 'p', received: 52, elsewhere: 0 })
    expect(lifeOf([{ ...transport, selectedCandidatePairId: undefined }])).toEqual({ path: '', received: 50, elsewhere: 0 })
  })
  it('tell rates from two looks, silence not counted as loss', () => {
    const [flow] = flows(
      [at(1000, { bytesReceived: 0, packetsReceived: 0, totalSamplesReceived: 0, concealedSamples: 0, silentConcealedSamples: 0 })],
      [at(3000, { bytesReceived: 8000, packetsReceived: 90, packetsLost: 10, totalSamplesReceived: 96_000, concealedSamples: 10_000, silentConcealedSamples: 400 })],
    )
    expect(flow).toMatchObject({ bitrate: 32_000, loss: 0.1, concealed: 0.1 })
  })
  const flow = { ...flows([], [at(1000, {})])[0], packets: 50 }
  it.each([
    [{}, 0.02, 'good'], [{ concealed: 0.03 }, 0, 'fair'], [{ concealed: 0.1 }, 0, 'poor'], [{ loss: 0.5 }, 0, 'poor'], [{}, 1, 'poor'], [{ packets: 0 }, 0, 'none'],
  ] as const)('grade %o at %d s: %s', (change, rtt, want) => expect(gradeOf([{ ...flow, ...change }], rtt)).toBe(want))
})

describe('what is kept on the machine', () => {
  it('is taken back only as it was written', () => {
    expect(readSound('{"microphone":"m","gain":2,"echoCancellation":false}')).toEqual({ ...usualSound, microphone: 'm', gain: 2, echoCancellation: false })
    for (const bad of [null, '', '[]', '{"gain":99,"microphone":7,"echoCancellation":"x"}']) expect(readSound(bad)).toEqual(usualSound)
  })
  it('leads back to a room for minutes, with the microphone as it was', () => {
    const text = JSON.stringify({ hearing: 'hrg_1', at: 1000, muted: true, dark: false })
    expect(readStay(text, 61_000)).toEqual({ hearing: 'hrg_1', at: 1000, muted: true, dark: false })
    expect(readStay(text, 3_600_000)).toBeNull()
    for (const bad of [null, '{}', '{"hearing":"x","at":1000}']) expect(readStay(bad, 2000)).toBeNull()
  })
})

describe("the test of a room's sound", () => {
  const rate = 48_000
  const row = [0, 3, 1, 4, 2, 0, 3]
  const step = timing.tone + timing.pause
  const played: Played[] = row.map((tone, i) => ({ tone, from: timing.quiet + i * step, to: timing.quiet + i * step + timing.tone }))
  const end = timing.quiet + row.length * step

  /** A signal over time, heard in runs of samples as the page does. */
  function listen(signal: (t: number) => number): Heard[] {
    const heard: Heard[] = []
    for (let at = 0.1; at < end; at += 0.04) {
      const samples = Float32Array.from({ length: 2048 }, (_, i) => signal(at - (2048 - i) / rate))
      heard.push(hear(samples, rate, at))
    }
    return heard
  }
  let seed = 7
  const noise = (loud: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return (seed / 1_073_741_824 - 1) * loud
  }
  /** The row as a microphone gets it: late, as loud as told, and fading in the time that the room rings. */
  const tonesAt = (t: number, loud: number, fade: number, delay = 0.06) =>
    played.reduce((sum, { tone, from, to }) => {
      const [a, b] = [from + delay, to + delay]
      if (t < a) return sum
      const level = t <= b ? loud : loud * 10 ** (-(t - b) / fade)
      return level < 1e-5 ? sum : sum + level * Math.sin(2 * Math.PI * tones[tone] * t)
    }, 0)
  const quiet = () => noise(0.0005)
  const room = (t: number) => tonesAt(t, 0.05, 0.05) + quiet()

  it('measures a tone in dB of full scale', () => {
    const sine = Float32Array.from({ length: 2048 }, (_, i) => 0.1 * Math.sin((2 * Math.PI * 1270 * i) / rate))
    expect(powerAt(sine, 1270, rate)).toBeCloseTo(-20, 0)
    expect(powerAt(sine, 890, rate)).toBeLessThan(-50)
  })
  it('finds nothing wrong with a good room', () => expect(judge(listen(room), listen(quiet), played)).toEqual(['fine']))
  it('hears the loudspeaker come back to those who speak', () => {
    expect(judge(listen(room), listen((t) => tonesAt(t, 0.02, 0.05) + quiet()), played)).toEqual(['echo'])
  })
  it('forgives the canceller its first two tones', () => {
    const learning = (t: number) => (t < played[2].from ? tonesAt(t, 0.02, 0.05) : 0) + quiet()
    expect(judge(listen(room), listen(learning), played)).toEqual(['fine'])
  })
  it('hears a room that rings', () => expect(judge(listen((t) => tonesAt(t, 0.05, 0.45) + quiet()), listen(quiet), played)).toEqual(['ringing']))
  it('says when the loudspeaker was not heard', () => expect(judge(listen(quiet), listen(quiet), played)).toEqual(['no-loudspeaker']))
  it('hears the same test in the room beside', () => {
    const beside = (t: number) => [1, 4, 2, 0].reduce((sum, tone, i) => sum + (t > 0.2 + i * 0.5 && t < 0.5 + i * 0.5 ? 0.004 * Math.sin(2 * Math.PI * tones[tone] * t) : 0), 0)
    expect(judge(listen((t) => room(t) + beside(t)), listen(quiet), played)).toContain('leak')
  })
  it('hears voices, which come and go, and steady noise, which does not', () => {
    const speech = (t: number) => (Math.sin(2 * Math.PI * 3 * t) > 0 ? noise(0.05) : noise(0.0005))
    expect(judgeSilence(listen(speech))).toEqual(['voices'])
    expect(judgeSilence(listen(() => noise(0.03)))).toEqual(['noise'])
    expect(judgeSilence(listen(quiet))).toEqual([])
  })
  it('plays no tone twice running', () => {
    const played_ = rowOf()
    expect(played_).toHaveLength(7)
    expect(played_.every((tone, i) => tone !== played_[i + 1])).toBe(true)
  })
})
