import { useEffect, useRef, useState } from 'react'
import SignaturePad from 'signature_pad'
import { Button } from '../ui/controls'
import type { Key } from './texts'
import type { Taken } from './visit'

/** A point as it travels: tenths of a pixel, milliseconds since the first touch, thousandths of pressure. */
interface Point {
  x: number
  y: number
  t: number
  p: number
}

/** SHA-256 of a text in base64url, as the bridge names texts. */
export async function hashOf(text: string): Promise<string> {
  const sum = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return btoa(String.fromCharCode(...new Uint8Array(sum))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** What was drawn, in whole numbers, tied to the text that was shown. */
export function strokesOf(groups: { points: { x: number; y: number; time: number; pressure: number }[] }[], hash: string) {
  const began = groups[0]?.points[0]?.time ?? 0
  const whole = (n: number) => Math.round(Number.isFinite(n) ? n : 0)
  const strokes = groups.map((g) => g.points.map(({ x, y, time, pressure }): Point => ({ x: whole(x * 10), y: whole(y * 10), t: whole(time - began), p: whole(pressure * 1000) })))
  return { v: 1, text_sha256: hash, strokes }
}

/** Fewer are a dot by mistake. */
const fewest = 5

/**
 * The place to sign. The text stands above it with its hash: what is signed is
 * that text and no other. Who cannot write says so, and an officer is witness.
 */
export function Signature({ t, text, hash, onTaken }: { t: (key: Key) => string; text: string; hash: string; onTaken: (taken: Taken) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const pad = useRef<SignaturePad | null>(null)
  const [drawn, setDrawn] = useState(0)
  const [tries, setTries] = useState(1)
  const [holds, setHolds] = useState<boolean | null>(null)
  useEffect(() => {
    let here = true
    void hashOf(text).then((own) => here && setHolds(own === hash))
    return () => {
      here = false
    }
  }, [text, hash])
  useEffect(() => {
    const element = canvas.current
    if (element === null) return undefined
    const ratio = Math.max(1, window.devicePixelRatio)
    element.width = element.offsetWidth * ratio
    element.height = element.offsetHeight * ratio
    element.getContext('2d')?.scale(ratio, ratio)
    const made = new SignaturePad(element, { penColor: '#1d2a6b', backgroundColor: '#ffffff', minWidth: 1.2, maxWidth: 3.6 })
    made.clear()
    pad.current = made
    const count = () => setDrawn(made.toData().reduce((n, g) => n + g.points.length, 0))
    made.addEventListener('endStroke', count)
    return () => {
      made.removeEventListener('endStroke', count)
      made.off()
      made.clear() // nothing of it stays in the canvas
      pad.current = null
    }
  }, [])
  const wipe = () => {
    pad.current?.clear()
    setDrawn(0)
    setTries((n) => n + 1)
  }
  const undo = () => {
    const made = pad.current
    if (made === null) return
    const left = made.toData().slice(0, -1)
    made.clear()
    made.fromData(left)
    setDrawn(left.reduce((n, g) => n + g.points.length, 0))
  }
  const done = () => {
    const data = pad.current?.toData() ?? []
    const strokes = new Blob([JSON.stringify(strokesOf(data, hash))], { type: 'application/json' })
    canvas.current?.toBlob((picture) => {
      const pieces = [{ kind: 'signature', format: 'application/json', bytes: strokes }]
      if (picture !== null) pieces.push({ kind: 'signature-picture', format: 'image/png', bytes: picture })
      onTaken({ result: 'taken', reason: '', tries: Math.min(tries, 99), values: [], pieces })
    }, 'image/png')
  }
  const cannot = (reason: string) => onTaken({ result: 'declined', reason, tries: Math.min(tries, 99), values: [], pieces: [] })
  return (
    <div className="signature">
      <figure>
        <figcaption>{t('signature.what')}</figcaption>
        <blockquote>{text}</blockquote>
        <p className="quiet small">
          {t('signature.hash')} <code dir="ltr">{hash}</code>
        </p>
      </figure>
      <canvas ref={canvas} aria-label={t('signature.box')} />
      <div className="choices tight">
        <Button look="secondary" isDisabled={drawn === 0} onPress={undo}>
          <span aria-hidden="true">↶</span> {t('signature.undo')}
        </Button>
        <Button look="secondary" isDisabled={drawn === 0} onPress={wipe}>
          <span aria-hidden="true">✕</span> {t('signature.clear')}
        </Button>
        <Button look="secondary" onPress={() => cannot('')}>
          {t('signature.cannot')}
        </Button>
        <Button large isDisabled={drawn < fewest || holds !== true} onPress={done}>
          <span aria-hidden="true">✓</span> {t('signature.done')}
        </Button>
      </div>
    </div>
  )
}
