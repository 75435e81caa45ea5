import { newID } from '../api/ids'
import type * as words from '../api/words'
import type { Offer, OfferTrack, Slot } from '../api/wire'
import type { Sealing } from './sealing'

/** Slots that a page offers to receive on, as every member does (docs/protocol.md). */
const audioSlots = 8
const videoSlots = 8

/** The only transport cipher that is accepted (RFC 7714); Chromium writes SRTP_ before its name. */
export const wantedCipher = 'AEAD_AES_256_GCM'

const audioLevel = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level'
/** By it the media server finds key frames without reading a payload (AV1 RTP specification, appendix A). */
const descriptor = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension'

/** Header extensions are not in TypeScript's DOM yet (W3C WebRTC Extensions, section 5.2). */
interface Extension {
  uri: string
  direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive' | 'stopped'
}
interface NegotiatesExtensions extends RTCRtpTransceiver {
  getHeaderExtensionsToNegotiate(): Extension[]
  setHeaderExtensionsToNegotiate(extensions: Extension[]): void
}

/** A track of this page. Id and number stay its own for the page's life: keys are bound to them. */
export interface OwnTrack {
  track: words.TrackID
  source: words.Source
  number: number
  media: MediaStreamTrack
}

export function ownTracks(media: MediaStream | null): OwnTrack[] {
  const tracks = [...(media?.getAudioTracks() ?? []), ...(media?.getVideoTracks() ?? [])]
  return tracks.map((track, number) => ({ track: newID('trk'), source: track.kind === 'audio' ? 'audio' : 'video', number, media: track }))
}

/** One peer connection, offered by the page: own tracks out, slots for the others' in. */
export class Peer {
  private readonly pc: RTCPeerConnection
  private readonly slots: RTCRtpTransceiver[] = []
  private readonly own: (OwnTrack & { transceiver: RTCRtpTransceiver })[] = []
  private readonly sealing: Sealing
  private assigned: Slot[] = []

  constructor(certificate: RTCCertificate, tracks: OwnTrack[], sealing: Sealing, onState: (state: RTCPeerConnectionState) => void) {
    this.sealing = sealing
    this.pc = new RTCPeerConnection({ certificates: [certificate], bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' })
    this.pc.onconnectionstatechange = () => onState(this.pc.connectionState)
    for (const track of tracks) this.publish(track)
    for (let i = 0; i < audioSlots; i++) this.receive('audio')
    for (let i = 0; i < videoSlots; i++) this.receive('video')
  }

  // A transform is set before the local description, so that no frame leaves or
  // arrives beside it.
  private publish(own: OwnTrack) {
    const { track, source, number, media } = own
    const sendEncodings = source === 'video' ? [{ maxBitrate: 600_000, maxFramerate: 15 }] : [{ maxBitrate: 32_000 }]
    const transceiver = this.pc.addTransceiver(media, { direction: 'sendonly', sendEncodings })
    prepare(transceiver, source)
    this.sealing.seal(transceiver.sender, track, source, number)
    this.own.push({ ...own, transceiver })
  }

  private receive(kind: 'audio' | 'video') {
    const transceiver = this.pc.addTransceiver(kind, { direction: 'recvonly' })
    prepare(transceiver, kind)
    this.sealing.open(transceiver.receiver, this.slots.length)
    this.slots.push(transceiver)
  }

  async offer(): Promise<Offer> {
    const offer = await this.pc.createOffer()
    await this.pc.setLocalDescription({ type: 'offer', sdp: constantRate(offer.sdp ?? '') })
    await gathered(this.pc)
    const tracks: OfferTrack[] = this.own.map(({ track, source, number, transceiver }) => ({ track, source, number, mid: transceiver.mid ?? '' }))
    return { sdp: this.pc.localDescription?.sdp ?? '', tracks }
  }

  answer(sdp: string): Promise<void> {
    return this.pc.setRemoteDescription({ type: 'answer', sdp: constantRate(sdp) })
  }

  /** Takes the door's word on whose track comes where; a frame that does not open under that member's key is dropped. */
  assign(slots: Slot[]) {
    this.assigned = slots
    this.slots.forEach((transceiver, i) => {
      const slot = slots.find((s) => s.mid === transceiver.mid)
      this.sealing.assign(i, slot === undefined ? null : { member: slot.member, track: slot.track })
    })
  }

  /** The tracks that come from each member now. */
  streams(): Map<words.MemberID, { audio: MediaStreamTrack | null; video: MediaStreamTrack | null }> {
    const out = new Map<words.MemberID, { audio: MediaStreamTrack | null; video: MediaStreamTrack | null }>()
    for (const slot of this.assigned) {
      const transceiver = this.slots.find((t) => t.mid === slot.mid)
      if (transceiver === undefined) continue
      const of = out.get(slot.member) ?? { audio: null, video: null }
      if (slot.source === 'audio') of.audio = transceiver.receiver.track
      else of.video = transceiver.receiver.track
      out.set(slot.member, of)
    }
    return out
  }

  get state(): RTCPeerConnectionState {
    return this.pc.connectionState
  }

  /** The cipher in use between page and media server, or "" before there is one. */
  async cipher(): Promise<string> {
    for (const stat of (await this.pc.getStats()).values() as Iterable<{ type: string; srtpCipher?: string }>) {
      if (stat.type === 'transport' && stat.srtpCipher !== undefined) return stat.srtpCipher.replace(/^SRTP_/, '')
    }
    return ''
  }

  close() {
    this.pc.close()
  }
}

/** Opus and VP8 alone, and no audio level in clear: it would tell when somebody speaks. */
function prepare(transceiver: RTCRtpTransceiver, kind: 'audio' | 'video' | 'screen') {
  const wanted = kind === 'audio' ? ['audio/opus'] : ['video/VP8', 'video/rtx']
  const capabilities = RTCRtpReceiver.getCapabilities(kind === 'audio' ? 'audio' : 'video')?.codecs ?? []
  transceiver.setCodecPreferences(capabilities.filter((c) => wanted.includes(c.mimeType)))
  const negotiates = transceiver as NegotiatesExtensions
  const extensions = negotiates.getHeaderExtensionsToNegotiate()
  for (const e of extensions) {
    if (e.uri === audioLevel) e.direction = 'stopped'
    if (e.uri === descriptor) e.direction = 'sendrecv'
  }
  negotiates.setHeaderExtensionsToNegotiate(extensions)
}

/** Asks for Opus in constant bit rate, since packet sizes leak speech, and with its own redundancy. */
export function constantRate(sdp: string): string {
  const payload = /a=rtpmap:(\d+) opus\/48000/i.exec(sdp)?.[1]
  if (payload === undefined) return sdp
  return sdp.replace(new RegExp(`a=fmtp:${payload} ([^\r\n]*)`, 'g'), (_, parameters: string) => {
    const kept = parameters.split(';').filter((p) => !/^\s*(cbr|useinbandfec)=/.test(p))
    return `a=fmtp:${payload} ${[...kept, 'useinbandfec=1', 'cbr=1'].join(';')}`
  })
}

function gathered(pc: RTCPeerConnection): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      if (pc.iceGatheringState !== 'complete') return
      pc.removeEventListener('icegatheringstatechange', done)
      resolve()
    }
    pc.addEventListener('icegatheringstatechange', done)
    // The media server needs none of the page's own candidates: it waits to be called.
    setTimeout(resolve, 1500)
    done()
  })
}
