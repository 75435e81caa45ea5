import type * as words from '../api/words'

/** One encoding of a picture; `scale` divides width and height. */
export interface Layer {
  rid: string
  scale: number
  bitrate: number
  framerate: number
}

/** How one device sends: what the camera is asked for, and the layers made of it. */
export interface Publishing {
  camera: MediaTrackConstraints
  layers: readonly Layer[]
}

const layer = (rid: string, scale: number, bitrate: number, framerate: number): Layer => ({ rid, scale, bitrate, framerate })

/**
 * The one place where pictures get their size and bit rate, the largest layer
 * first.
 *
 * The applicant's face is what a decision may turn on, so it is sent best. Staff
 * are shown in small tiles. Three layers each: a full tile, a small tile, and
 * what still goes through a broken link.
 */
const table = {
  applicant: {
    camera: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } },
    layers: [layer('f', 1, 1_400_000, 24), layer('h', 2, 450_000, 24), layer('q', 4, 120_000, 12)],
  },
  staff: {
    camera: { width: { ideal: 960 }, height: { ideal: 540 }, frameRate: { ideal: 15, max: 30 } },
    layers: [layer('f', 1, 700_000, 15), layer('h', 2, 250_000, 15), layer('q', 4, 80_000, 10)],
  },
} satisfies Record<string, Publishing>

/** By the roles of everybody at the device. */
export function publishingOf(roles: readonly words.Role[]): Publishing {
  return roles.includes('applicant') ? table.applicant : table.staff
}

/** A document must be readable; it hardly moves. */
export const screen = { bitrate: 1_500_000, framerate: 5, capture: { width: { max: 1920 }, height: { max: 1080 }, frameRate: { max: 5 } } } as const

/** Who may show a screen or document: who brings papers to a hearing. */
export function mayShare(roles: readonly words.Role[]): boolean {
  return roles.some((r) => r === 'interviewer' || r === 'counsel' || r === 'representative')
}

/** Bit/s of a voice, in constant bit rate, as long as nobody's link asks for less. */
export const voice = 32_000

/**
 * The layers that a camera's picture is large enough for. Chromium 156 sends
 * three from 960x540 on, two from 480x270 on, else one; of more it would send
 * the first ones and leave the largest out.
 */
export function layersFor(layers: readonly Layer[], { width = 0, height = 0 }: { width?: number; height?: number }): readonly Layer[] {
  const pixels = width * height
  return layers.slice(0, pixels >= 960 * 540 ? 3 : pixels >= 480 * 270 ? 2 : 1)
}

/** The smallest first: in the other order Chromium 156 gives bit rates to the wrong layers. */
export function encodingsOf(layers: readonly Layer[]): RTCRtpEncodingParameters[] {
  return layers.toReversed().map(({ rid, scale, bitrate, framerate }) => ({ rid, scaleResolutionDownBy: scale, maxBitrate: bitrate, maxFramerate: framerate, active: true }))
}

/**
 * What a hint makes of the layers: those that nobody receives rest, and the rest
 * share what is advised. The smallest layer is never turned off, so that a
 * receiver who comes finds a picture on its way.
 */
export function advised(layers: readonly Layer[], unneeded: readonly string[], bitrate: number): Map<string, { active: boolean; maxBitrate: number }> {
  const smallest = layers.at(-1)?.rid
  const on = layers.filter((l) => l.rid === smallest || !unneeded.includes(l.rid))
  const asked = on.reduce((sum, l) => sum + l.bitrate, 0)
  const part = bitrate > 0 && bitrate < asked ? bitrate / asked : 1
  return new Map(layers.map((l) => [l.rid, { active: on.includes(l), maxBitrate: Math.round(l.bitrate * part) }]))
}
