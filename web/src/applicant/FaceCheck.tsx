import { useCallback, useEffect, useRef, useState } from 'react'
import type { TodaysHearing } from '../api/model'
import { Problem } from '../api/problem'
import { useTexts, type Language } from '../i18n'
import type { RoomState } from '../media/room'
import { Button, Notice, Section } from '../ui/controls'
import { faces, follow, needOf, present, takePicture, type Need, type Occasion } from './face'

/** Where a picture stands. `gone`: no camera; `missed`: three tries, none good. */
type Stand = { at: 'idle' } | { at: 'telling'; need: Need | null } | { at: 'counting'; left: number } | { at: 'sending' } | { at: 'taken' } | { at: 'gone' } | { at: 'missed' } | { at: 'declined' }

export interface FaceCheck {
  stand: Stand
  skip: () => void
}

const tries = 3
/** The words stay so long before the count begins, also where no voice is heard. */
const tellFor = 3_500
const showFor = 6_000
const pollEvery = 5_000

const clips: Record<Language, { ask: string; again: string }> = {
  fi: { ask: new URL('./voice/fi-ask.ogg', import.meta.url).href, again: new URL('./voice/fi-again.ogg', import.meta.url).href },
  en: { ask: new URL('./voice/en-ask.ogg', import.meta.url).href, again: new URL('./voice/en-again.ogg', import.meta.url).href },
  ar: { ask: new URL('./voice/ar-ask.ogg', import.meta.url).href, again: new URL('./voice/ar-again.ogg', import.meta.url).href },
}

class Skipped extends Error {}

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(new Skipped())
    }
    if (signal.aborted) return stop()
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
  })

/** Says a clip; the words on the screen say the same where no sound comes. */
async function say(clip: string, signal: AbortSignal) {
  const audio = new Audio(clip)
  const stop = () => audio.pause()
  signal.addEventListener('abort', stop, { once: true })
  const ended = new Promise<void>((resolve) => {
    audio.onended = audio.onerror = audio.onpause = () => resolve()
  })
  try {
    await audio.play()
    await ended
  } catch {
    return // a browser may hold sound back after a reload
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/**
 * Takes a picture of who sits at the room terminal when the ticket was redeemed
 * and after absences, for comparison with the kiosk's (B21). It tells the person
 * before, in words and aloud; what the comparison says is never shown here.
 */
export function useFaceCheck(hearing: TodaysHearing, state: RoomState): FaceCheck {
  const { language } = useTexts()
  const [stand, setStand] = useState<Stand>({ at: 'idle' })
  const [wanted, setWanted] = useState<Occasion | null>(null)
  const [possible, setPossible] = useState(false)
  const participant = state.seats.find((s) => s.role === 'applicant')?.participant ?? null
  const byTicket = hearing.tickets.length > 0
  const there = state.stage === 'waiting' || state.stage === 'in'
  const running = useRef<AbortController | null>(null)
  const camera = useRef<MediaStreamTrack | undefined>(undefined)
  useEffect(() => {
    camera.current = state.media?.getVideoTracks().at(0)
  }, [state.media])

  // What the server waits for: at first by itself, later where the interviewer asks.
  const known = useRef(false)
  useEffect(() => {
    if (participant === null || !byTicket || !there) return undefined
    let over = false
    const look = async () => {
      try {
        const w = await faces.wanted(hearing.hearing, participant)
        if (over) return
        setPossible(w.possible)
        if (!w.possible) return
        const occasion = w.asked ? 'asked' : known.current ? null : w.first ? 'entered' : 'returned'
        known.current = true
        if (occasion !== null && running.current === null) setWanted(occasion)
      } catch {
        return // asked again soon; the interviewer's eyes do not need it
      }
    }
    void look()
    const timer = setInterval(() => void look(), pollEvery)
    return () => {
      over = true
      clearInterval(timer)
    }
  }, [hearing.hearing, participant, byTicket, there])

  // Absences: the line was gone, or the hearing goes on after a long break.
  const presence = useRef(present)
  const { online } = state
  const { phase } = state.phase
  useEffect(() => {
    if (state.stage !== 'in') return
    const next = follow(presence.current, online, phase, performance.now())
    presence.current = next.presence
    if (next.over !== null && possible && running.current === null) setWanted(next.over)
  }, [state.stage, online, phase, possible])

  const run = useCallback(
    async (occasion: Occasion, signal: AbortSignal) => {
      if (participant === null) return
      const none = (reason: 'camera-gone' | 'declined') => faces.none(hearing.hearing, participant, occasion, reason).catch(() => undefined)
      try {
        let need: Need | null = null
        for (let n = 1; n <= tries; n++) {
          setStand({ at: 'telling', need })
          await Promise.all([say(need === null ? clips[language].ask : clips[language].again, signal), pause(tellFor, signal)])
          for (let left = 3; left > 0; left--) {
            setStand({ at: 'counting', left })
            await pause(1000, signal)
          }
          setStand({ at: 'sending' })
          const track = camera.current
          // Who turned the camera off does not want to be seen now.
          if (track?.enabled === false) throw new Skipped()
          const picture = await takePicture(track)
          if (picture === null) {
            setStand({ at: 'gone' })
            await none('camera-gone')
            return
          }
          const answer = await faces.picture(hearing.hearing, participant, occasion, picture, n === tries)
          if (answer === '') {
            setStand({ at: 'taken' })
            return
          }
          need = needOf(answer)
        }
        setStand({ at: 'missed' })
      } catch (thrown) {
        if (thrown instanceof Skipped) {
          setStand({ at: 'declined' })
          await none('declined')
          return
        }
        // Nothing to compare with any more, or no server: the interviewer looks.
        setStand({ at: Problem.of(thrown).document.code === 'not-found' ? 'idle' : 'missed' })
      }
    },
    [hearing.hearing, participant, language],
  )
  const latest = useRef(run)
  useEffect(() => {
    latest.current = run
  }, [run])
  useEffect(() => {
    if (wanted === null) return
    const stop = new AbortController()
    running.current = stop
    void latest.current(wanted, stop.signal).finally(() => {
      running.current = null
      setWanted(null)
      setTimeout(() => setStand((s) => (running.current === null && s.at !== 'idle' ? { at: 'idle' } : s)), showFor)
    })
  }, [wanted])
  const skip = useCallback(() => running.current?.abort(), [])
  return { stand, skip }
}

/** What the person is told of a picture that is taken. */
export function FaceCard({ check: { stand, skip }, media }: { check: FaceCheck; media: MediaStream | null }) {
  const { t } = useTexts()
  const video = useRef<HTMLVideoElement>(null)
  const shown = stand.at === 'telling' || stand.at === 'counting' || stand.at === 'sending'
  useEffect(() => {
    const element = video.current
    if (!shown || element === null) return undefined
    element.srcObject = media
    void element.play().catch(() => undefined)
    return () => {
      element.srcObject = null
    }
  }, [shown, media])
  if (stand.at === 'idle') return null
  if (!shown) {
    return (
      <div role="status">
        <Notice kind={stand.at === 'taken' ? 'success' : 'warning'} title={t(`applicant.face.${stand.at}`)}>
          {stand.at !== 'taken' && <p>{t('applicant.face.goesOn')}</p>}
        </Notice>
      </div>
    )
  }
  return (
    <Section title={t('applicant.face.title')} className="card stack tight face-check">
      <p className="lead" role="status">
        {stand.at === 'telling' && stand.need !== null ? t(`applicant.face.needs.${stand.need}`) : t('applicant.face.ask')}
      </p>
      <div className="face-view">
        <video ref={video} muted playsInline aria-hidden="true" />
        {stand.at === 'counting' && <span className="count">{stand.left}</span>}
      </div>
      <p>{t('applicant.face.what')}</p>
      <div>
        <Button look="secondary" isDisabled={stand.at === 'sending'} onPress={skip}>
          {t('applicant.face.skip')}
        </Button>
      </div>
    </Section>
  )
}
