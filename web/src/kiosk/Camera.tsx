import { useCallback, useEffect, useRef, useState, type RefObject } from 'react'
import { Button } from '../ui/controls'
import { cardPart, hints, look, stops, values, type Hint, type Look } from './hints'
import { Picture, type Subject } from './Picture'
import type { Key } from './texts'
import type { Taken } from './visit'

type State = 'starting' | 'on' | 'gone'

const small = { width: 160, height: 120 }
const lookEvery = 300 // milliseconds

/** The camera for as long as the screen is shown; the light beside it goes out with the screen. */
function useCamera(): { video: RefObject<HTMLVideoElement | null>; state: State } {
  const video = useRef<HTMLVideoElement>(null)
  const [state, setState] = useState<State>('starting')
  useEffect(() => {
    let over = false
    let stream: MediaStream | null = null
    const begin = async () => {
      try {
        const found = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 960 }, facingMode: 'user' }, audio: false })
        stream = found
        if (over) return end()
        found.getVideoTracks().forEach((t) => t.addEventListener('ended', () => setState('gone')))
        if (video.current === null) return end()
        video.current.srcObject = found
        await video.current.play()
        setState('on')
      } catch {
        if (!over) setState('gone')
      }
    }
    const end = () => stream?.getTracks().forEach((t) => t.stop())
    void begin()
    const element = video.current
    return () => {
      over = true
      end()
      if (element !== null) element.srcObject = null
    }
  }, [])
  return { video, state }
}

type Seen = Look & { luma: Float32Array }

/** Looks at the picture three times a second and says what could be better. */
function useLook(video: RefObject<HTMLVideoElement | null>, on: boolean, forCard: boolean): { now: () => Seen | null; found: Hint[]; good: number; since: number } {
  const last = useRef<Seen | null>(null)
  const [seen, setSeen] = useState<{ found: Hint[]; good: number; since: number }>({ found: [], good: 0, since: 0 })
  useEffect(() => {
    if (!on) return undefined
    const canvas = new OffscreenCanvas(small.width, small.height)
    const context = canvas.getContext('2d', { willReadFrequently: true })
    const timer = setInterval(() => {
      const element = video.current
      if (element === null || context === null || element.videoWidth === 0) return
      context.drawImage(element, 0, 0, small.width, small.height)
      const now = look(context.getImageData(0, 0, small.width, small.height), last.current)
      last.current = now
      const found = hints(now, forCard)
      setSeen((before) => ({ found, good: found.length === 0 ? before.good + 1 : 0, since: before.since + 1 }))
    }, lookEvery)
    return () => {
      clearInterval(timer)
      last.current = null
    }
  }, [video, on, forCard])
  const now = useCallback(() => last.current, [])
  return { now, ...seen }
}

/** A picture of the video, or of a part of it. */
async function still(video: HTMLVideoElement, part: { x: number; y: number; width: number; height: number }, to: { width: number; height: number }, quality: number): Promise<Blob> {
  const canvas = new OffscreenCanvas(to.width, to.height)
  canvas.getContext('2d')?.drawImage(video, part.x, part.y, part.width, part.height, 0, 0, to.width, to.height)
  return canvas.convertToBlob({ type: 'image/jpeg', quality })
}

const subjects: Record<Hint, Subject> = { nobody: 'face', alone: 'two', dark: 'dark', bright: 'bright', further: 'further', closer: 'closer', centre: 'centre', still: 'still', background: 'background' }

/** The weightiest hint, as a picture and in words; spoken by whoever shows it. */
function HintLine({ t, hint, quiet }: { t: (key: Key) => string; hint: Hint | null; quiet: boolean }) {
  return (
    <p className={`hint${hint === null ? ' good' : ''}`} role={quiet ? undefined : 'status'}>
      <Picture of={hint === null ? 'join' : subjects[hint]} />
      {t(hint === null ? 'hint.good' : `hint.${hint}`)}
    </p>
  )
}

/** The first hint that stays for two looks, so that nothing flickers. */
function useSteady(found: Hint[], since: number): Hint | null {
  const first = found[0] ?? null
  const [steady, setSteady] = useState<{ hint: Hint | null; shown: Hint | null; at: number }>({ hint: null, shown: null, at: 0 })
  if (steady.at !== since) setSteady({ hint: first, shown: steady.hint === first ? first : steady.shown, at: since })
  return steady.shown
}

interface Props {
  t: (key: Key) => string
  /** Tells what is on screen, so that it can be said aloud. */
  onSay: (key: Key, picture: Subject) => void
  onTaken: (taken: Taken) => void
}

const ahead: { key: Key; picture: Subject } = { key: 'face.ask', picture: 'face' }

const turns: Partial<Record<string, { key: Key; picture: Subject }>> = {
  'look-ahead': ahead,
  'turn-left': { key: 'face.left', picture: 'face-left' },
  'turn-right': { key: 'face.right', picture: 'face-right' },
  'look-up': { key: 'face.up', picture: 'face-up' },
}

/** A turn is shown so long before a picture is taken, and waits so long for a better one (looks of 300 ms). */
const settle = 5
const enough = 16
/** Nobody, or two, for so long: that is the answer. */
const giveUp = 40

const failed = (reason: string, tries = 1): Taken => ({ result: 'failed', reason, tries, values: [], pieces: [] })

/**
 * Live pictures of the face for comparison, in the order that the bridge asks
 * for. They go to the bridge and are nowhere here afterwards.
 */
export function Face({ t, order, onSay, onTaken }: Props & { order: string[] }) {
  const { video, state } = useCamera()
  const { now, found, good, since } = useLook(video, state === 'on', false)
  const [turn, setTurn] = useState({ n: 0, from: 0 })
  const pictures = useRef<Blob[]>([])
  const over = useRef(false)
  const wanted = order.length >= 3 ? order : ['look-ahead', 'turn-left', 'turn-right']
  const at = turns[wanted[turn.n] ?? ''] ?? ahead
  const steady = useSteady(found, since)
  const blocked = found.find((h) => stops.includes(h))
  useEffect(() => onSay(state === 'gone' ? 'camera.gone' : at.key, state === 'gone' ? 'no-camera' : at.picture), [onSay, state, at.key, at.picture])
  useEffect(() => {
    const kept = pictures.current
    return () => {
      kept.length = 0
    }
  }, [])
  useEffect(() => {
    const element = video.current
    if (state !== 'on' || element === null || over.current) return
    const shown = since - turn.from
    if (blocked !== undefined && shown >= giveUp) {
      over.current = true
      onTaken(failed(blocked === 'alone' ? 'two-persons' : 'no-person'))
      return
    }
    if (blocked !== undefined || shown < settle || (good < 2 && shown < enough)) return
    over.current = true // until this picture is taken
    void still(element, { x: 0, y: 0, width: element.videoWidth, height: element.videoHeight }, { width: 640, height: Math.round((640 * element.videoHeight) / element.videoWidth) }, 0.85).then((picture) => {
      pictures.current.push(picture)
      if (pictures.current.length < wanted.length) {
        over.current = false
        setTurn({ n: pictures.current.length, from: since })
        return
      }
      const seen = now()
      onTaken({ result: 'taken', reason: '', tries: 1, values: seen === null ? [] : values(seen), pieces: pictures.current.map((bytes) => ({ kind: 'face', format: 'image/jpeg', bytes })) })
    })
  }, [video, state, since, turn, good, blocked, wanted.length, now, onTaken])
  useGone(state, onTaken)
  return (
    <div className="camera">
      {state === 'gone' ? <Picture of="no-camera" /> : <video ref={video} muted playsInline aria-hidden="true" />}
      {state === 'on' && <HintLine t={t} hint={steady} quiet={false} />}
      <ol className="turns" aria-hidden="true">
        {wanted.map((w, i) => (
          <li key={w} className={i < turn.n ? 'done' : i === turn.n ? 'now' : ''}>
            <Picture of={i < turn.n ? 'join' : ((turns[w] ?? ahead).picture)} />
          </li>
        ))}
      </ol>
    </div>
  )
}

/** A camera that is gone: the person is told, and goes on without. */
function useGone(state: State, onTaken: (taken: Taken) => void) {
  useEffect(() => {
    if (state !== 'gone') return undefined
    const timer = setTimeout(() => onTaken(failed('camera-gone')), 4000)
    return () => clearTimeout(timer)
  }, [state, onTaken])
}

/** A photograph for the residence card: the person presses, looks at it, and keeps it or takes another. */
export function Photo({ t, onSay, onTaken }: Props) {
  const { video, state } = useCamera()
  const { now, found, since } = useLook(video, state === 'on', true)
  const steady = useSteady(found, since)
  const [taken, setTaken] = useState<{ picture: Blob; address: string; found: Hint[]; look: Look } | null>(null)
  const [tries, setTries] = useState(0)
  useEffect(() => onSay(state === 'gone' ? 'camera.gone' : taken === null ? 'photo.ask' : 'photo.check', state === 'gone' ? 'no-camera' : 'photo'), [onSay, state, taken])
  useEffect(() => () => (taken === null ? undefined : URL.revokeObjectURL(taken.address)), [taken])
  useGone(taken === null ? state : 'on', onTaken)
  const take = async () => {
    const element = video.current
    const seen = now()
    if (element === null || seen === null) return
    const part = cardPart(seen, element.videoWidth, element.videoHeight)
    const picture = await still(element, part, { width: 840, height: 1080 }, 0.92)
    setTries((n) => n + 1)
    setTaken({ picture, address: URL.createObjectURL(picture), found, look: seen })
  }
  return (
    <div className="camera">
      {state === 'gone' && taken === null ? <Picture of="no-camera" /> : <video ref={video} muted playsInline aria-hidden="true" hidden={taken !== null} />}
      {taken !== null && <img className="card-photo" src={taken.address} alt={t('photo.check')} />}
      {state === 'on' && <HintLine t={t} hint={taken === null ? steady : (taken.found[0] ?? null)} quiet={taken !== null} />}
      {taken === null ? (
        <Button large isDisabled={state !== 'on' || since === 0} onPress={() => void take()}>
          <Picture of="photo" />
          {t('photo.take')}
        </Button>
      ) : (
        <div className="choices tight">
          <Button look="secondary" large onPress={() => setTaken(null)}>
            <Picture of="again" />
            {t('photo.again')}
          </Button>
          <Button
            large
            onPress={() => onTaken({ result: 'taken', reason: '', tries: Math.min(tries, 99), values: values(taken.look), pieces: [{ kind: 'photo', format: 'image/jpeg', bytes: taken.picture }] })}
          >
            <Picture of="join" />
            {t('photo.use')}
          </Button>
        </div>
      )}
      <p className="quiet">{t('photo.hints')}</p>
    </div>
  )
}
