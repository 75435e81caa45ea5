import { newID } from '../api/ids'
import type * as words from '../api/words'
import type { Offer, OfferTrack, SendHint, Slot } from '../api/wire'
import { advised, encodingsOf, layersFor, publishingOf, mayShare, screen, voice, type Layer } from './publishing'
import { constantRate, generations, layersTurned, plainVoice, withGeneration, withVoiceForm, withVoiceRepair, type VoiceForm } from './sdp'
import type { Sealing } from './sealing'
import type { Report } from './stats'

/** Slots that a page offers to receive on, as every member does (docs/protocol.md). */
const audioSlots = 8
const videoSlots = 8

/** The only transport cipher that is accepted (RFC 7714); Chromium writes SRTP_ before its name. */
export const wantedCipher = 'AEAD_AES_256_GCM'

const audioLevel = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level'
/** By it the media server finds key frames without reading a payload (AV1 RTP specification, appendix A). */
const descriptor = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension'
/** Tells resolutions in clear, for which nobody has a use here. */
const layersAllocation = 'http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00'

/** Header extensions are not in TypeScript's DOM yet (W3C WebRTC Extensions, section 5.2). */
interface Extension {
  uri: string
  direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive' | 'stopped'
}
interface NegotiatesExtensions extends RTCRtpTransceiver {
  getHeaderExtensionsToNegotiate(): Extension[]
  setHeaderExtensionsToNegotiate(extensions: Extension[]): void
}

/**
 * A track of this page. Id and number stay its own for the page's life: keys
 * are bound to them. A screen has its place from the start and its media when
 * somebody shows one.
 */
export interface OwnTrack {
  track: words.TrackID
  source: words.Source
  number: number
  media: MediaStreamTrack | null
  seat?: words.SeatID
  layers: readonly Layer[]
}

/**
 * The tracks of a page: the room's microphone and camera, a place for a screen
 * where somebody may show one, and the interpreter's own microphone where the
 * device has a second one (the second audio track of `media`).
 */
export function ownTracks(media: MediaStream | null, seats: readonly { seat: words.SeatID; role: words.Role }[]): OwnTrack[] {
  const voices = media?.getAudioTracks() ?? []
  const [microphone, second] = [voices.at(0), voices.at(1)]
  const camera = media?.getVideoTracks().at(0)
  const roles = seats.map((s) => s.role)
  const interpreter = seats.find((s) => s.role === 'interpreter')
  const own: Omit<OwnTrack, 'track'>[] = []
  if (microphone !== undefined) own.push({ source: 'audio', number: 0, media: microphone, layers: [] })
  if (camera !== undefined) own.push({ source: 'video', number: 1, media: camera, layers: layersFor(publishingOf(roles).layers, camera.getSettings()) })
  if (mayShare(roles)) own.push({ source: 'screen', number: 2, media: null, layers: [] })
  if (second !== undefined && interpreter !== undefined) own.push({ source: 'audio', number: 3, media: second, seat: interpreter.seat, layers: [] })
  return own.map((t) => ({ ...t, track: newID('trk') }))
}

/** One connection that is offered by the page: own tracks out, slots for the others' in. */
export class Peer {
  /** The leg that the last answer was for. */
  leg: words.LegID | null = null
  private readonly pc: RTCPeerConnection
  private readonly slots: RTCRtpTransceiver[] = []
  private readonly own: (OwnTrack & { transceiver: RTCRtpTransceiver })[] = []
  private readonly sealing: Sealing
  private assigned: Slot[] = []
  /** Whose frames the sealing was told to expect on each slot. */
  private readonly told: string[] = []
  private answered = ''
  /** Restarts that nobody was asked for, since that answer. */
  private restarts = 0
  private form: VoiceForm = plainVoice

  constructor(certificate: RTCCertificate, tracks: OwnTrack[], sealing: Sealing, onState: () => void) {
    this.sealing = sealing
    this.pc = new RTCPeerConnection({ certificates: [certificate], bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' })
    this.pc.onconnectionstatechange = onState
    this.pc.oniceconnectionstatechange = onState
    for (const track of tracks) this.publish(track)
    for (let i = 0; i < audioSlots; i++) this.receive('audio')
    for (let i = 0; i < videoSlots; i++) this.receive('video')
  }

  // A transform is set before the local description, so that no frame leaves or
  // arrives beside it.
  private publish(own: OwnTrack) {
    const { track, source, number, media, layers } = own
    const sendEncodings = source === 'audio' ? [{ maxBitrate: voice }] : source === 'screen' ? [{ maxBitrate: screen.bitrate, maxFramerate: screen.framerate }] : encodingsOf(layers)
    const transceiver = this.pc.addTransceiver(media ?? (source === 'audio' ? 'audio' : 'video'), { direction: 'sendonly', sendEncodings })
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

  /** An offer to be called, or one for another path to the same media server: an ICE restart keeps keys, tracks and mids. */
  async offer(iceServers: RTCIceServer[]): Promise<Offer> {
    this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers })
    const offer = await this.pc.createOffer({ iceRestart: this.pc.localDescription !== null })
    await this.pc.setLocalDescription({ type: 'offer', sdp: withVoiceRepair(constantRate(offer.sdp ?? '')) })
    const tracks: OfferTrack[] = this.own.map(({ track, source, number, transceiver, seat }) => ({ track, source, number, mid: transceiver.mid ?? '', ...(seat === undefined ? {} : { seat }) }))
    // The media server needs none of the page's own candidates: it waits to be called.
    return { sdp: layersTurned(this.pc.localDescription?.sdp ?? ''), tracks }
  }

  /** Takes an answer, and how voices are to be sent from their first packet on. */
  async answer(sdp: string, leg: words.LegID, hints: readonly SendHint[]): Promise<void> {
    this.restarts = 0
    for (const hint of hints) if (this.own.find((t) => t.track === hint.track)?.source === 'audio') this.form = voiceForm(hint)
    await this.apply(sdp)
    this.answered = sdp
    this.leg = leg
  }

  private apply(sdp: string): Promise<void> {
    return this.pc.setRemoteDescription({ type: 'answer', sdp: withGeneration(withVoiceForm(constantRate(layersTurned(sdp)), this.form), this.restarts) })
  }

  /**
   * Looks for another path by what was answered before: the media server needs
   * not be told, and it works where nobody can be asked. False: it has to be an
   * offer.
   */
  async restart(): Promise<boolean> {
    if (this.answered === '' || this.restarts === generations || this.pc.signalingState !== 'stable') return false
    this.restarts++
    const offer = await this.pc.createOffer({ iceRestart: true })
    await this.pc.setLocalDescription({ type: 'offer', sdp: withVoiceRepair(constantRate(offer.sdp ?? '')) })
    await this.apply(this.answered)
    return true
  }

  /** Sends a track as those who receive it need it now. */
  async follow(hint: SendHint): Promise<void> {
    const own = this.own.find((t) => t.track === hint.track)
    if (own === undefined) return
    const { sender } = own.transceiver
    const parameters = sender.getParameters()
    const bitrate = hint.bitrate ?? 0
    if (own.source === 'audio') {
      for (const e of parameters.encodings) e.maxBitrate = bitrate > 0 ? Math.min(voice, bitrate) : voice
      await sender.setParameters(parameters)
      await this.speak(voiceForm(hint))
      return
    }
    const wanted = advised(own.layers, hint.unneeded ?? [], bitrate)
    for (const e of parameters.encodings) {
      const layer = wanted.get(e.rid ?? '')
      if (layer !== undefined) Object.assign(e, layer)
      else if (own.source === 'screen') e.maxBitrate = bitrate > 0 ? Math.min(screen.bitrate, bitrate) : screen.bitrate
    }
    await sender.setParameters(parameters)
  }

  private async speak(form: VoiceForm) {
    if (form.red === this.form.red && form.packet === this.form.packet) return
    this.form = form
    if (this.answered === '' || this.pc.signalingState !== 'stable') return
    const offer = await this.pc.createOffer()
    await this.pc.setLocalDescription({ type: 'offer', sdp: withVoiceRepair(constantRate(offer.sdp ?? '')) })
    await this.apply(this.answered)
  }

  /** Puts other media on an own track: a screen that is shown, a microphone that came back. */
  async replace(track: words.TrackID, media: MediaStreamTrack | null): Promise<void> {
    const own = this.own.find((t) => t.track === track)
    await own?.transceiver.sender.replaceTrack(media)
  }

  /** Takes the door's word on whose track comes where; a frame that does not open under that member's key is dropped. */
  assign(slots: Slot[]) {
    this.assigned = slots
    this.slots.forEach(({ mid }, i) => {
      const slot = mid === null ? undefined : slots.find((s) => s.mid === mid)
      const from = slot === undefined ? '' : `${slot.member} ${slot.track}`
      if (this.told[i] === from) return
      this.told[i] = from
      this.sealing.assign(i, slot === undefined ? null : { member: slot.member, track: slot.track })
    })
  }

  /** What comes on each slot that is assigned. */
  streams(): { slot: Slot; media: MediaStreamTrack }[] {
    return this.assigned.flatMap((slot) => {
      const transceiver = this.slots.find((t) => t.mid === slot.mid)
      return transceiver === undefined ? [] : [{ slot, media: transceiver.receiver.track }]
    })
  }

  /** Holds what comes on a slot for at least so many milliseconds before it is played; 0: as the browser likes. */
  hold(mid: string, ms: number) {
    const receiver = this.slots.find((t) => t.mid === mid)?.receiver
    const target = ms === 0 ? null : ms
    if (receiver !== undefined && receiver.jitterBufferTarget !== target) receiver.jitterBufferTarget = target
  }

  get state(): RTCPeerConnectionState {
    return this.pc.connectionState
  }

  get ice(): RTCIceConnectionState {
    return this.pc.iceConnectionState
  }

  /** Whether the media server has something to report on. */
  get sends(): boolean {
    return this.own.some((t) => t.media !== null)
  }

  async report(): Promise<Report> {
    return [...((await this.pc.getStats()) as unknown as ReadonlyMap<string, Report[number]>).values()]
  }

  close() {
    this.pc.onconnectionstatechange = null
    this.pc.oniceconnectionstatechange = null
    this.pc.close()
  }
}

const voiceForm = ({ red, packet_ms }: SendHint): VoiceForm => ({ red: red ?? false, packet: packet_ms === 60 ? 60 : 20 })

/** Opus, alone or with redundancy, and VP8; and no audio level in clear: it would tell when somebody speaks. */
function prepare(transceiver: RTCRtpTransceiver, kind: 'audio' | 'video' | 'screen') {
  const wanted = kind === 'audio' ? ['audio/opus', 'audio/red'] : ['video/VP8', 'video/rtx']
  const capabilities = RTCRtpReceiver.getCapabilities(kind === 'audio' ? 'audio' : 'video')?.codecs ?? []
  transceiver.setCodecPreferences(capabilities.filter((c) => wanted.includes(c.mimeType)))
  const negotiates = transceiver as NegotiatesExtensions
  const extensions = negotiates.getHeaderExtensionsToNegotiate()
  for (const e of extensions) {
    if (e.uri === audioLevel || e.uri === layersAllocation) e.direction = 'stopped'
    if (e.uri === descriptor) e.direction = 'sendrecv'
  }
  negotiates.setHeaderExtensionsToNegotiate(extensions)
}
