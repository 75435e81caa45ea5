import { useCallback, useEffect, useId, useState } from 'react'
import { Problem } from '../api/problem'
import type { Document, HearingID } from '../api/words'
import { useTexts } from '../i18n'
import { hashOf } from '../kiosk/Signature'
import { Button, Field, Notice, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { given, type Given as Visit, type Piece } from './reading'
import { usePolled } from './polled'
import './desk.css'

const refreshEvery = 60_000
const shortest = 10 // characters of a purpose

/** B6, B7, B16: what people gave at kiosks, and reading it back for a written purpose: of one hearing, or for officers of all. */
export function Given({ hearing }: { hearing?: HearingID }) {
  const { t } = useTexts()
  const ask = useCallback(() => (hearing === undefined ? given.all() : given.of(hearing)), [hearing])
  const { value, problem, refresh } = usePolled(ask, refreshEvery)
  const visits = value?.given ?? []
  if (visits.length === 0) return <ProblemNotice problem={problem} />
  return (
    <Section title={t('staff.given.title')}>
      <ProblemNotice problem={problem} />
      <p className="quiet">{t('staff.given.help')}</p>
      <ul className="stack">
        {visits.map((v) => (
          <One key={v.visit} visit={v} onRead={refresh} />
        ))}
      </ul>
    </Section>
  )
}

function One({ visit, onRead }: { visit: Visit; onRead: () => Promise<void> }) {
  const { t, moment } = useTexts()
  const id = useId()
  const [purpose, setPurpose] = useState('')
  const [reading, setReading] = useState(false)
  const [pieces, setPieces] = useState<Piece[] | null>(null)
  const [problem, setProblem] = useState<Document | null>(null)
  const read = async () => {
    setReading(true)
    setProblem(null)
    try {
      setPieces(await given.read(visit.visit, visit.hearing, purpose.trim()))
      setPurpose('')
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
    setReading(false)
    await onRead()
  }
  const kinds = [...new Set(visit.pieces.map((p) => p.step))]
  return (
    <li className="stack tight" aria-labelledby={id}>
      <h3 id={id}>
        <bdi>{visit.diary}</bdi> · {kinds.map((k) => t(`staff.given.step.${k}`)).join(', ')}
      </h3>
      <p className="quiet small">
        <bdi>{visit.place}</bdi> · {moment(Date.parse(visit.ended) / 1000)}
        {visit.read > 0 && ` · ${t('staff.given.read', { times: visit.read })}`}
      </p>
      <ProblemNotice problem={problem} />
      {pieces === null ? (
        <details className="details">
          <summary>{t('staff.given.open')}</summary>
          <div className="stack tight">
            <Field label={t('staff.given.purpose')} help={t('staff.given.purposeHelp')} value={purpose} onChange={setPurpose} lines required />
            <div>
              <Button isDisabled={purpose.trim().length < shortest || reading} onPress={() => void read()}>
                {t('staff.given.show')}
              </Button>
            </div>
          </div>
        </details>
      ) : (
        <Shown pieces={pieces} onClose={() => setPieces(null)} />
      )}
    </li>
  )
}

/** What was opened lives as long as it is shown. */
function Shown({ pieces, onClose }: { pieces: Piece[]; onClose: () => void }) {
  const { t } = useTexts()
  const text = pieces.find((p) => p.kind === 'signed-text')
  const strokes = pieces.find((p) => p.kind === 'signature')
  const pictures = pieces.filter((p) => p.format.startsWith('image/') && p.kind !== 'signature-picture')
  const pages = pictures.filter((p) => p.step === 'scan')
  return (
    <div className="stack">
      {pictures.map((p) => (
        <figure key={p.n}>
          <Image piece={p} alt={p.step === 'scan' ? t('staff.given.page', { page: pages.indexOf(p) + 1 }) : t('staff.given.step.photo')} />
          <figcaption className="small">
            {p.step === 'scan' ? t('staff.given.page', { page: pages.indexOf(p) + 1 }) : t('staff.given.photoHelp')} <code dir="ltr">{p.sha256.slice(0, 12)}</code>
          </figcaption>
        </figure>
      ))}
      {strokes !== undefined && <Signed strokes={strokes} text={text ?? null} />}
      <div>
        <Button look="secondary" onPress={onClose}>
          {t('staff.given.close')}
        </Button>
      </div>
    </div>
  )
}

function Image({ piece, alt }: { piece: Piece; alt: string }) {
  const [address] = useState(() => URL.createObjectURL(new Blob([bytesOf(piece)], { type: piece.format })))
  useEffect(() => () => URL.revokeObjectURL(address), [address])
  return <img src={address} alt={alt} className="given-picture" />
}

interface Strokes {
  text_sha256: string
  strokes: { x: number; y: number }[][]
}

/** A signature as it was drawn, over the text that was on the screen, and whether the two belong together. */
function Signed({ strokes, text }: { strokes: Piece; text: Piece | null }) {
  const { t } = useTexts()
  const [own, setOwn] = useState('')
  const words = text === null ? '' : new TextDecoder().decode(bytesOf(text))
  useEffect(() => {
    let over = false
    void hashOf(words).then((hash) => over || setOwn(hash))
    return () => {
      over = true
    }
  }, [words])
  const drawn = readStrokes(strokes)
  if (drawn === null) return <Notice kind="alert" title={t('staff.given.unreadable')} />
  const points = drawn.strokes.flat()
  const left = Math.min(...points.map((p) => p.x))
  const top = Math.min(...points.map((p) => p.y))
  const width = Math.max(...points.map((p) => p.x)) - left
  const height = Math.max(...points.map((p) => p.y)) - top
  const edge = Math.max(width, height) * 0.05 + 1
  const holds = own !== '' && own === drawn.text_sha256
  return (
    <figure className="stack tight">
      <blockquote className="given-text" dir="auto">
        {words}
      </blockquote>
      <svg className="given-signature" viewBox={`${left - edge} ${top - edge} ${width + 2 * edge} ${height + 2 * edge}`} role="img" aria-label={t('staff.given.step.signature')}>
        {drawn.strokes.map((s, i) => (
          <polyline key={i} points={s.map((p) => `${p.x},${p.y}`).join(' ')} fill="none" stroke="currentColor" strokeWidth={Math.max(width, height) / 120} strokeLinecap="round" strokeLinejoin="round" />
        ))}
      </svg>
      <figcaption className="small">
        <span role="status">{own !== '' && <strong>{holds ? t('staff.given.holds') : t('staff.given.other')}</strong>}</span> {t('staff.given.hash')} <code dir="ltr">{drawn.text_sha256}</code>
      </figcaption>
    </figure>
  )
}

function readStrokes(piece: Piece): Strokes | null {
  try {
    const read = JSON.parse(new TextDecoder().decode(bytesOf(piece))) as Partial<Strokes>
    const strokes = (read.strokes ?? []).filter((s) => s.length > 0 && s.every((p) => Number.isFinite(p.x) && Number.isFinite(p.y)))
    return strokes.length === 0 || typeof read.text_sha256 !== 'string' ? null : { text_sha256: read.text_sha256, strokes }
  } catch {
    return null
  }
}

const bytesOf = (piece: Piece) => Uint8Array.from(atob(piece.bytes), (c) => c.charCodeAt(0))
