// A stand-in for the kiosk's program, for the walks through its pages: a script
// of steps for each scene. What the page sent is kept for the test to look at.

/** Languages in which espeak-ng speaks; the others have no clips here. */
const voices = ['fi', 'sv', 'en', 'ar', 'fa', 'ru', 'uk', 'kmr', 'tr', 'fr']

/** A fifth of a second of silence. */
const wav = (() => {
  const samples = 1600
  const b = Buffer.alloc(44 + samples * 2)
  b.write('RIFF', 0)
  b.writeUInt32LE(36 + samples * 2, 4)
  b.write('WAVEfmt ', 8)
  b.writeUInt32LE(16, 16)
  b.writeUInt16LE(1, 20)
  b.writeUInt16LE(1, 22)
  b.writeUInt32LE(8000, 24)
  b.writeUInt32LE(16000, 28)
  b.writeUInt16LE(2, 32)
  b.writeUInt16LE(16, 34)
  b.write('data', 36)
  b.writeUInt32LE(samples * 2, 40)
  return b
})()

/** A page with lines. */
export const paperPicture = 'iVBORw0KGgoAAAANSUhEUgAAADwAAABUCAAAAAD7MAuZAAAAN0lEQVR42u3RMQ0AAAjAMOTg3yBYIIGP7t/VqEVhNs/nnHY+o+KMirOZs5kzZ86cOXPmbDb/nhv79XZg9SJRLQAAAABJRU5ErkJggg=='
const page = Buffer.from(paperPicture, 'base64')

export const signedText = 'Haen oleskelulupakorttia. Tässä antamani valokuva ja allekirjoitus ovat korttia varten.'
export const signedHash = 'oQB5TpUDZcqTg2vLZvCwfjN_TNqwRPHasFa6HtTW8Xk'

const join = { result: 'join', way: 'interviewer', place: 'Joutseno, kuulemistila 2', expires: Math.floor(Date.now() / 1000) + 600 }
const desk = {
  result: 'desk', way: 'ask-staff', handover: '7K3M-9Q2D-TW4X',
  square: Array.from({ length: 21 }, (_, y) => Array.from({ length: 21 }, (_, x) => ((x * 7 + y * 3 + x * y) % 3 === 0 ? '1' : '0')).join('')),
}

/** What each scene goes through; a step waits for the page where it asks for something. */
const scripts = {
  kiosk: ['document', 'chip', 'reading', { outcome: join }],
  'kiosk-none': ['document', { outcome: desk }],
  'kiosk-face': ['document', 'chip', 'reading', { step: 'face', n: 3, tries: 3, seconds: 30, order: ['look-ahead', 'turn-right', 'look-up'] }, { outcome: join }],
  'kiosk-card': [
    'document', 'chip', 'reading', { step: 'photo', n: 4, tries: 3, seconds: 60 }, { step: 'signature', n: 5, tries: 1, seconds: 60, signs: true },
    'scan', 'scan-busy', 'scan-check', 'scan', 'payment', 'payment-busy', 'print', 'print-busy', { outcome: { ...join, notes: ['payment.paid', 'print.paper'] } },
  ],
  // Three tries of a finger that is worn, then another one.
  'kiosk-fingers': ['document', 'chip', 'reading', ...[0, 1, 2].map((done) => ({ step: 'fingers', finger: 2, done })), { step: 'fingers', finger: 7 }, { outcome: join }],
  'kiosk-nofingers': ['document', 'chip', 'reading', { step: 'fingers', finger: 2, waits: 'choice' }, { step: 'fingers', finger: 7, waits: 'choice' }, { outcome: join }],
  // The document of an applicant: a number that is not found, then the right one.
  'kiosk-applicant': [
    { step: 'document', waits: 'choice' }, { step: 'applicant', waits: 'applicant' }, { step: 'applicant', done: 1, waits: 'applicant' }, { step: 'fingers', finger: 1 }, { outcome: join },
  ],
  // Nobody lays a finger down until the time is over.
  'kiosk-latefinger': [
    { step: 'document', waits: 'choice' }, { step: 'applicant', waits: 'applicant' }, ...[0, 1, 2].map((done) => ({ step: 'fingers', finger: 2, done })), { outcome: { ...desk, because: 'fingers' } },
  ],
  'kiosk-noapplicant': [{ step: 'document', waits: 'choice' }, { step: 'applicant', waits: 'choice' }, { outcome: desk }],
  'kiosk-number': [{ outcome: { result: 'desk', way: 'ask-staff', number: { id: 'num_1', text: 'A12', label: 'Palvelupiste', ahead: 3, wait: 900, printed: true } } }],
  'kiosk-quick': ['payment', 'payment-busy', { outcome: { result: 'done', way: 'retry', notes: ['payment.paid'] } }],
  'kiosk-wrong': [{ problem: { code: 'not-booked', way: 'interviewer' } }],
}

/** Answers what a page asks the program; false for what is not the kiosk's. */
export function kioskCall(s, path, body, response, send) {
  if (path === '/kiosk/setup') send(200, { services: s.name.startsWith('kiosk-quick') ? ['interview', 'identity', 'passport', 'card', 'pay'] : ['interview', 'identity', 'card'], voices })
  else if (path === '/kiosk/voice') {
    s.said ??= []
    s.said.push([body.language, body.key])
    if (!voices.includes(body.language)) {
      response.writeHead(204)
      response.end()
      return true
    }
    response.writeHead(200, { 'Content-Type': 'audio/wav', 'Cache-Control': 'no-store' })
    response.end(wav)
  } else if (path === '/api/desk/calls') send(200, { call: 'cal_1', answered: false, staffed: s.staffed !== false, ...(s.rang = body) })
  else if (path.startsWith('/api/desk/calls/')) send(200, { call: 'cal_1', answered: s.answers === true, staffed: s.staffed !== false })
  else return false
  return true
}

/** One visit by the scene's script. */
export function kioskVisit(ws, s) {
  const script = scripts[s.name.replace(/_.*$/, '')] ?? scripts.kiosk
  s.sent = []
  const inbox = []
  let wake = () => undefined
  ws.on('message', (data, binary) => {
    const m = binary ? { bytes: Buffer.from(data) } : JSON.parse(data.toString())
    s.sent.push(m)
    inbox.push(m)
    wake()
  })
  ws.on('close', () => (s.left = true))
  const next = async (wanted) => {
    for (;;) {
      const at = inbox.findIndex(wanted)
      if (at >= 0) return inbox.splice(at, 1)[0]
      await new Promise((resolve) => (wake = resolve))
    }
  }
  const tell = (m) => ws.send(JSON.stringify(m))
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  const run = async () => {
    await next((m) => m.type === 'begin')
    for (const each of script) {
      if (each.outcome) return tell({ type: 'outcome', outcome: each.outcome })
      if (each.problem) return tell({ type: 'problem', problem: each.problem })
      const { step, signs, waits, ...more } = typeof each === 'string' ? { step: each } : each
      tell({ type: 'step', step: { step, done: 0, ...more, ...(signs ? { text: signedText, text_sha256: s.hash ?? signedHash } : {}) } })
      if (step === 'scan-check') ws.send(page)
      if (['face', 'photo', 'signature'].includes(step)) {
        const { taken } = await next((m) => m.type === 'taken')
        for (const a of taken.artefacts) {
          const { bytes } = await next((m) => m.bytes !== undefined)
          if (bytes.length !== a.bytes) throw new Error(`a piece of ${bytes.length} bytes, ${a.bytes} were announced`)
        }
      } else if (['scan', 'scan-check', 'payment', 'print'].includes(step)) await next((m) => m.type === 'choice')
      else if (waits !== undefined) await next((m) => m.type === waits)
      else if (step === 'document' && s.name.startsWith('kiosk-none')) await next((m) => m.type === 'choice')
      else await pause(s.slow ?? 400)
    }
  }
  run().catch((error) => ws.readyState === 1 && ws.close(1011, String(error.message).slice(0, 100)))
}
