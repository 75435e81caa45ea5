import { afterEach, describe, expect, it, vi } from 'vitest'
import { ownMedia, usualSound } from './capture'
import { publishingOf } from './publishing'

interface Wanted {
  audio?: MediaTrackConstraints
  video?: unknown
}

interface Track {
  kind: string
  getSettings: () => { deviceId: string }
  contentHint?: string
}

const deviceOf = (w: Wanted) => (w.audio?.deviceId as { exact?: string } | undefined)?.exact ?? ''

/** A machine with these microphones and cameras, and what it was asked for. */
function machine(has: (wanted: Wanted) => boolean) {
  const asked: Wanted[] = []
  class Stream {
    readonly tracks: Track[]
    constructor(tracks: Track[]) {
      this.tracks = tracks
    }
    getAudioTracks = () => this.tracks.filter((t) => t.kind === 'audio')
    getVideoTracks = () => this.tracks.filter((t) => t.kind === 'video')
    getTracks = () => this.tracks
    addTrack = (t: Track) => this.tracks.push(t)
  }
  vi.stubGlobal('MediaStream', Stream)
  vi.stubGlobal('navigator', {
    mediaDevices: {
      getUserMedia: (wanted: Wanted) => {
        asked.push(wanted)
        if (!has(wanted)) return Promise.reject(new Error('no such device'))
        const kinds = (['audio', 'video'] as const).filter((kind) => wanted[kind] !== undefined)
        return Promise.resolve(new Stream(kinds.map((kind) => ({ kind, getSettings: () => ({ deviceId: deviceOf(wanted) }) }))))
      },
    },
  })
  return asked
}

describe("a room's own sound", () => {
  afterEach(() => vi.unstubAllGlobals())

  // Each setting of the terminal reaches the microphone, one by one.
  it.each(['echoCancellation', 'noiseSuppression', 'autoGainControl'] as const)('is taken with and without %s as the terminal has it', async (setting) => {
    for (const on of [true, false]) {
      const asked = machine(() => true)
      await ownMedia(['applicant'], { ...usualSound, [setting]: on })
      expect(asked[0].audio?.[setting]).toBe(on)
    }
  })

  it('is of the chosen microphone, or of the usual one where that is not plugged in', async () => {
    const asked = machine((w) => deviceOf(w) !== 'gone')
    expect((await ownMedia(['applicant'], { ...usualSound, microphone: 'here' }))?.getAudioTracks()).toHaveLength(1)
    expect(asked.map(deviceOf)).toEqual(['here'])
    expect((await ownMedia(['applicant'], { ...usualSound, microphone: 'gone' }))?.getAudioTracks()).toHaveLength(1)
    expect(asked.map(deviceOf)).toEqual(['here', 'gone', ''])
  })

  it("has the interpreter's microphone as a second track of its own", async () => {
    const asked = machine(() => true)
    const media = await ownMedia(['applicant', 'interpreter'], { ...usualSound, interpreter: 'second' })
    expect(media?.getAudioTracks()).toHaveLength(2)
    expect(asked.map(deviceOf)).toContain('second')
    machine((w) => deviceOf(w) !== 'second')
    expect((await ownMedia(['applicant', 'interpreter'], { ...usualSound, interpreter: 'second' }))?.getAudioTracks(), 'and does without').toHaveLength(1)
  })

  it('comes with a face that may lose detail rather than move by jerks, of the size that the roles ask for', async () => {
    const asked = machine(() => true)
    const [camera] = (await ownMedia(['applicant'], usualSound))?.getVideoTracks() ?? []
    expect(camera.contentHint).toBe('motion')
    expect(asked[0].video).toBe(publishingOf(['applicant']).camera)
    expect(publishingOf(['applicant']).camera).not.toEqual(publishingOf(['interviewer']).camera)
  })

  it('comes without a picture where there is no camera, and is nothing where there is neither', async () => {
    machine((w) => w.video === undefined)
    expect((await ownMedia(['applicant'], usualSound))?.getVideoTracks()).toHaveLength(0)
    machine(() => false)
    expect(await ownMedia(['applicant'], usualSound)).toBeNull()
  })
})
