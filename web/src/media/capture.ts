import type * as words from '../api/words'
import { publishingOf } from './publishing'

/** How this machine's microphones are used. Kept on the machine: a room's sound belongs to the room. */
export interface SoundSettings {
  /** Device ids; "" is the system's own choice, and for the interpreter: none. */
  microphone: string
  interpreter: string
  echoCancellation: boolean
  noiseSuppression: boolean
  autoGainControl: boolean
  /** Factor after all of these, 0.25 to 4. */
  gain: number
}

/** Right for a room with a loudspeaker; a headset can do without any of it. */
export const usualSound: SoundSettings = { microphone: '', interpreter: '', echoCancellation: true, noiseSuppression: true, autoGainControl: true, gain: 1 }

const kept = 'kuule.sound'

export function readSound(text: string | null): SoundSettings {
  try {
    const found = JSON.parse(text ?? '') as Partial<Record<keyof SoundSettings, unknown>>
    const text_ = (v: unknown) => (typeof v === 'string' && v.length <= 256 ? v : '')
    const on = (v: unknown, usual: boolean) => (typeof v === 'boolean' ? v : usual)
    const gain = typeof found.gain === 'number' && found.gain >= 0.25 && found.gain <= 4 ? found.gain : 1
    return {
      microphone: text_(found.microphone), interpreter: text_(found.interpreter), echoCancellation: on(found.echoCancellation, true),
      noiseSuppression: on(found.noiseSuppression, true), autoGainControl: on(found.autoGainControl, true), gain,
    }
  } catch {
    return usualSound
  }
}

export const loadSound = () => readSound(localStorage.getItem(kept))
export const keepSound = (settings: SoundSettings) => localStorage.setItem(kept, JSON.stringify(settings))

function constraints(device: string, s: SoundSettings): MediaTrackConstraints {
  const { echoCancellation, noiseSuppression, autoGainControl } = s
  return { echoCancellation, noiseSuppression, autoGainControl, ...(device === '' ? {} : { deviceId: { exact: device } }) }
}

/**
 * Camera and microphone as the room uses them; what is missing is left out,
 * never asked for twice. The interpreter's own microphone, where one was
 * chosen, comes as second audio track.
 */
export async function ownMedia(roles: readonly words.Role[], settings: SoundSettings = loadSound()): Promise<MediaStream | null> {
  const audio = constraints(settings.microphone, settings)
  const video = publishingOf(roles).camera
  const devices = navigator.mediaDevices
  // A chosen microphone that is not plugged in today gives way to the usual one.
  for (const wanted of [{ audio, video }, { audio: constraints('', settings), video }, { audio }, { video }]) {
    let media: MediaStream
    try {
      media = await devices.getUserMedia(wanted)
    } catch {
      continue // The next best.
    }
    for (const camera of media.getVideoTracks()) camera.contentHint = 'motion'
    const voices = media.getAudioTracks()
    if (settings.interpreter !== '' && settings.interpreter !== voices.at(0)?.getSettings().deviceId) {
      const second = await devices.getUserMedia({ audio: constraints(settings.interpreter, settings) }).catch(() => null)
      for (const t of second?.getAudioTracks() ?? []) media.addTrack(t)
    }
    return settings.gain === 1 ? media : amplified(media, settings.gain)
  }
  return null
}

/** The same media with all voices louder or softer. */
function amplified(media: MediaStream, gain: number): MediaStream {
  const context = new AudioContext({ latencyHint: 'interactive' })
  const voices = media.getAudioTracks().map((t) => {
    const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1 })
    context.createMediaStreamSource(new MediaStream([t])).connect(new GainNode(context, { gain })).connect(out)
    const louder = out.stream.getAudioTracks()[0]
    t.addEventListener('ended', () => louder.dispatchEvent(new Event('ended')))
    return louder
  })
  return new MediaStream([...voices, ...media.getVideoTracks()])
}

/** The microphones of this machine, by the names that the system gives them. */
export async function microphones(): Promise<{ id: string; name: string }[]> {
  const all = await navigator.mediaDevices.enumerateDevices()
  return all.filter((d) => d.kind === 'audioinput' && d.deviceId !== 'default' && d.deviceId !== 'communications').map((d) => ({ id: d.deviceId, name: d.label }))
}
