/** How voices are sent, as a hint of the media server has it. */
export interface VoiceForm {
  /** Each packet carries the one before as well (RFC 2198). */
  red: boolean
  /** Milliseconds of sound in a packet. */
  packet: 20 | 60
}

export const plainVoice: VoiceForm = { red: false, packet: 20 }

function payloadOf(sdp: string, codec: RegExp): string | undefined {
  return new RegExp(`a=rtpmap:(\\d+) ${codec.source}`, 'i').exec(sdp)?.[1]
}

/** Asks for Opus in constant bit rate, since packet sizes leak speech, and with its own redundancy. */
export function constantRate(sdp: string): string {
  const payload = payloadOf(sdp, /opus\/48000/)
  if (payload === undefined) return sdp
  return sdp.replace(new RegExp(`a=fmtp:${payload} ([^\r\n]*)`, 'g'), (_, parameters: string) => {
    const kept = parameters.split(';').filter((p) => !/^\s*(cbr|useinbandfec)=/.test(p))
    return `a=fmtp:${payload} ${[...kept, 'useinbandfec=1', 'cbr=1'].join(';')}`
  })
}

/** Offers to have lost voice packets sent again, which Chromium can do but does not offer by itself. */
export function withVoiceRepair(sdp: string): string {
  const payload = payloadOf(sdp, /opus\/48000/)
  if (payload === undefined || new RegExp(`a=rtcp-fb:${payload} nack\r?\n`).test(sdp)) return sdp
  return sdp.replace(new RegExp(`a=rtpmap:${payload} opus[^\r\n]*(\r?\n)`, 'gi'), (line, end: string) => `${line}a=rtcp-fb:${payload} nack${end}`)
}

/**
 * Turns the order of layers around. Chromium names them as its encodings stand,
 * the smallest first; between page and media server the best comes first, as
 * RFC 8853 has it.
 */
export function layersTurned(sdp: string): string {
  return sdp.replace(/^(a=simulcast:(?:send|recv)) ([^\r\n ]+)/gm, (_, head: string, rids: string) => `${head} ${rids.split(';').toReversed().join(';')}`)
}

/**
 * The media server's answer as if it had asked for voices in another form. The
 * page applies it to itself: nothing is renegotiated with anybody. Chromium 156
 * takes neither from `setParameters`: there a change to RED is accepted and
 * changes nothing, and the duration of a packet is no parameter. What the answer
 * does not list cannot be switched to.
 */
export function withVoiceForm(answer: string, { red, packet }: VoiceForm): string {
  const parts = answer.split(/(?=^m=)/m)
  return parts
    .map((part) => {
      if (!part.startsWith('m=audio') || !/^a=recvonly/m.test(part)) return part
      const opus = payloadOf(part, /opus\/48000/)
      const redundant = payloadOf(part, /red\/48000/)
      if (opus === undefined) return part
      const first = red && redundant !== undefined ? [redundant, opus] : [opus, ...(redundant === undefined ? [] : [redundant])]
      const ordered = part.replace(/^(m=audio \S+ \S+) ([\d ]+)/, (_, head: string, all: string) => {
        const rest = all.trim().split(' ').filter((p) => !first.includes(p))
        return `${head} ${[...first, ...rest].join(' ')}`
      })
      const plain = ordered.replace(/^a=(max)?ptime:\d+\r?\n/gm, '')
      return packet === 20 ? plain : `${plain.replace(/\r?\n$/, '')}\r\na=ptime:${packet}\r\na=maxptime:${packet}\r\n`
    })
    .join('')
}

/** How often a page may look for a path anew by one answer. */
export const generations = 31
/** Between the priorities of one answer's candidates and those of the next. */
const generationStep = 512

/**
 * An answer as one of a new generation, which the media server takes for the same
 * (docs/protocol.md): another name, and candidates that come before those of the
 * generations before. A browser moves to the first of them that works.
 */
export function withGeneration(sdp: string, n: number): string {
  if (n === 0) return sdp
  return sdp
    .replace(/^a=ice-ufrag:\S+/gm, `$&+${n}`)
    .replace(/^(a=candidate:\S+ \d+ \S+ )(\d+)/gm, (_, before: string, priority: string) => `${before}${Number(priority) + n * generationStep}`)
}
