/** What is read of `getStats` (https://www.w3.org/TR/webrtc-stats/); every field may be missing. */
export interface Stat {
  id: string
  type: string
  timestamp: number
  kind?: string
  mid?: string
  rid?: string
  active?: boolean
  bytesSent?: number
  bytesReceived?: number
  packetsSent?: number
  packetsReceived?: number
  packetsLost?: number
  jitter?: number
  nackCount?: number
  pliCount?: number
  concealedSamples?: number
  silentConcealedSamples?: number
  totalSamplesReceived?: number
  framesDecoded?: number
  framesPerSecond?: number
  frameWidth?: number
  frameHeight?: number
  freezeCount?: number
  totalFreezesDuration?: number
  qualityLimitationReason?: string
  roundTripTime?: number
  fractionLost?: number
  localId?: string
  codecId?: string
  mimeType?: string
  srtpCipher?: string
  selectedCandidatePairId?: string
  currentRoundTripTime?: number
  responsesReceived?: number
  availableOutgoingBitrate?: number
  localCandidateId?: string
  remoteCandidateId?: string
  candidateType?: string
  protocol?: string
  relayProtocol?: string
}
export type Report = readonly Stat[]

const of = (report: Report, type: string) => report.filter((s) => s.type === type)

/** What came from the media server; growth is a sign of life. */
export interface Life {
  /** The path in use; another one counts anew. */
  path: string
  /** What came by it, answers to checks included. */
  received: number
  /** What came by any other. */
  elsewhere: number
}

export function lifeOf(report: Report): Life {
  const transport = of(report, 'transport').find((t) => t.selectedCandidatePairId !== undefined)
  const pairs = of(report, 'candidate-pair')
  const count = (p: Stat) => (p.packetsReceived ?? 0) + (p.responsesReceived ?? 0)
  const chosen = pairs.find((p) => p.id === transport?.selectedCandidatePairId)
  // Not every browser counts the packets of each path.
  const whole = chosen?.packetsReceived === undefined ? of(report, 'transport').reduce((n, t) => n + (t.packetsReceived ?? 0), 0) : 0
  return {
    path: chosen?.id ?? '',
    received: whole + (chosen === undefined ? 0 : count(chosen)),
    elsewhere: pairs.filter((p) => p !== chosen).reduce((n, p) => n + (p.packetsReceived ?? 0), 0),
  }
}

/** The cipher in use between page and media server, or "" before there is one. */
export function cipherOf(report: Report): string {
  const cipher = of(report, 'transport').find((t) => t.srtpCipher !== undefined)?.srtpCipher ?? ''
  return cipher.replace(/^SRTP_/, '')
}

/** One incoming or outgoing stream over a span of time. Rates per second, shares from 0 to 1. */
export interface Flow {
  mid: string
  kind: string
  out: boolean
  rid: string
  active: boolean
  codec: string
  bitrate: number
  packets: number
  loss: number
  jitter: number
  /** Share of sound that was made up, silence left out. */
  concealed: number
  frozen: number
  fps: number
  width: number
  height: number
  limited: string
}

export interface Path {
  rtt: number
  local: string
  remote: string
  available: number
}

/** What flowed between two reports. */
export function flows(before: Report, now: Report): Flow[] {
  const codecs = new Map(of(now, 'codec').map((c) => [c.id, (c.mimeType ?? '').replace(/^.*\//, '')]))
  const seen = new Map(before.map((s) => [s.id, s]))
  return now
    .filter((s) => s.type === 'inbound-rtp' || s.type === 'outbound-rtp')
    .map((s): Flow => {
      const old = seen.get(s.id)
      const out = s.type === 'outbound-rtp'
      const seconds = Math.max(0.001, (s.timestamp - (old?.timestamp ?? s.timestamp - 1000)) / 1000)
      const grown = (field: keyof Stat) => Math.max(0, Number(s[field] ?? 0) - Number(old?.[field] ?? 0))
      const packets = grown(out ? 'packetsSent' : 'packetsReceived')
      const lost = grown('packetsLost')
      const remote = out ? of(now, 'remote-inbound-rtp').find((r) => r.localId === s.id) : undefined
      const samples = grown('totalSamplesReceived')
      return {
        mid: s.mid ?? '', kind: s.kind ?? '', out, rid: s.rid ?? '', active: s.active ?? true, codec: codecs.get(s.codecId ?? '') ?? '',
        bitrate: Math.round((grown(out ? 'bytesSent' : 'bytesReceived') * 8) / seconds),
        packets: packets / seconds,
        loss: out ? (remote?.fractionLost ?? 0) : packets + lost === 0 ? 0 : lost / (packets + lost),
        jitter: (out ? remote?.jitter : s.jitter) ?? 0,
        concealed: samples === 0 ? 0 : Math.max(0, grown('concealedSamples') - grown('silentConcealedSamples')) / samples,
        frozen: Math.min(1, grown('totalFreezesDuration') / seconds),
        fps: s.framesPerSecond ?? 0, width: s.frameWidth ?? 0, height: s.frameHeight ?? 0, limited: s.qualityLimitationReason ?? '',
      }
    })
}

export function pathOf(report: Report): Path {
  const chosen = of(report, 'transport').find((t) => t.selectedCandidatePairId !== undefined)?.selectedCandidatePairId
  const pair = report.find((s) => s.id === chosen)
  const candidate = (id: string | undefined) => {
    const c = report.find((s) => s.id === id)
    if (c === undefined) return ''
    if (c.candidateType === 'relay') return `turn/${c.relayProtocol ?? c.protocol ?? ''}`
    return [c.candidateType, c.protocol].filter((w) => w !== undefined).join(' ')
  }
  return { rtt: pair?.currentRoundTripTime ?? 0, local: candidate(pair?.localCandidateId), remote: candidate(pair?.remoteCandidateId), available: pair?.availableOutgoingBitrate ?? 0 }
}

/** How a person's connection is, in one word. */
export const grades = ['good', 'fair', 'poor', 'none'] as const
export type Grade = (typeof grades)[number]

/**
 * Voice first: it is what an interview is lost by. The bounds are those at which
 * speech begins to tire (2 %) and to lose words (8 %) when concealed.
 */
export function gradeOf(these: readonly Flow[], rtt: number): Grade {
  if (these.length === 0 || these.every((f) => f.packets === 0)) return 'none'
  const worst = (value: (f: Flow) => number, kind: string) => Math.max(0, ...these.filter((f) => f.kind === kind).map(value))
  const sound = Math.max(worst((f) => f.concealed, 'audio'), worst((f) => f.loss, 'audio') / 3)
  const frozen = worst((f) => f.frozen, 'video')
  if (sound > 0.08 || frozen > 0.5 || rtt > 0.8) return 'poor'
  if (sound > 0.02 || frozen > 0.1 || rtt > 0.35) return 'fair'
  return 'good'
}
