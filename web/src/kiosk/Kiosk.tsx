import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { send } from '../api/session'
import type { CallID, Document } from '../api/words'
import { desk } from '../desk/desk'
import { Button, Dialog, Field } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { Applicant } from './Applicant'
import { Face, Photo } from './Camera'
import './kiosk.css'
import { besideOf, sentencesOf } from './outcome'
import { fingers, Picture, type Subject } from './Picture'
import { grouped, isRight, keys, length, symbol } from './reference'
import { Signature } from './Signature'
import { all, clock, say, tongues, type Key, type Tongue } from './texts'
import { services, VisitSocket, type Outcome, type Service, type Stage, type Taken } from './visit'
import { Voice } from './voice'

type Place =
  | { at: 'languages' }
  | { at: 'services' }
  | { at: 'code'; service: Service }
  | { at: 'visit'; stage: Stage; picture: Blob | null }
  | { at: 'checking' }
  | { at: 'outcome'; outcome: Outcome }
  | { at: 'problem'; problem: Document }
  | { at: 'desk' }
  | { at: 'called'; coming: boolean; staffed: boolean }

const begin: Place = { at: 'languages' }
const first: Tongue = 'fi'

/** What this kiosk is set up for, as its program says. */
interface Setup {
  services: Service[]
  /** Languages in which something here can speak. */
  voices: Tongue[]
}

/** Untouched for so long, the page asks whether somebody is there, then clears itself for the next person. */
const idleSeconds = 60
const answerSeconds = 15
/** What is shown at the end stays so long; then nothing of the visit is left. */
const endSeconds = 45

/**
 * The kiosk's touch page: one person after the other, who may not be able to
 * read. Each screen is one picture, one sentence that is also spoken, and a few
 * large choices, each with a picture, which are spoken in their order. Help and
 * a fresh start are on every screen.
 */
export function Kiosk() {
  const [place, setPlace] = useState<Place>(begin)
  const [tongue, setTongue] = useState<Tongue>(first)
  const [byEar, setByEar] = useState(false)
  const [service, setService] = useState<Service>('interview')
  const [code, setCode] = useState('')
  const [loud, setLoud] = useState(true)
  const [call, setCall] = useState<CallID | null>(null)
  const visit = useRef<VisitSocket | null>(null)
  const setup = useSetup()
  const voice = useVoice()
  const t = useCallback((key: Key, seconds?: number) => say(tongue, key, seconds), [tongue])

  useEffect(() => {
    document.documentElement.lang = tongue
    document.documentElement.dir = tongues[tongue].dir
  }, [tongue])

  const leave = useCallback(() => {
    visit.current?.close()
    visit.current = null
    voice.stop()
    setCode('')
    setCall(null)
    setTongue(first)
    setByEar(false)
    setLoud(true)
    setPlace(begin)
  }, [voice])
  useEffect(() => leave, [leave])

  const start = (reference: string, wanted: Service | 'other') => {
    visit.current?.close()
    setPlace({ at: 'checking' })
    void hasCamera().then((camera) => {
      visit.current = new VisitSocket({ reference, service: wanted, language: tongue, camera }, (now) => {
        if (now.at === 'step') setPlace({ at: 'visit', stage: now.stage, picture: null })
        else if (now.at === 'picture') setPlace((before) => (before.at === 'visit' ? { ...before, picture: now.picture } : before))
        else setPlace(now)
      })
    })
  }

  // A call that reaches nobody still leads somewhere: to the desk.
  const help = useCallback(async () => {
    const step = stepOf(place)
    visit.current?.close()
    visit.current = null
    try {
      const { call: raised, staffed } = await desk.raise(tongue, step)
      setCall(raised)
      setPlace({ at: 'called', coming: false, staffed })
    } catch {
      setPlace({ at: 'desk' })
    }
  }, [place, tongue])
  useEffect(() => {
    if (call === null) return undefined
    const timer = setInterval(() => {
      void desk.called(call).then(
        ({ answered, staffed }) => {
          if (!answered) {
            setPlace((before) => (before.at === 'called' && before.staffed !== staffed ? { ...before, staffed } : before))
            return
          }
          setCall(null)
          setPlace({ at: 'called', coming: true, staffed: true })
        },
        () => undefined, // asked again
      )
    }, 2000)
    return () => clearInterval(timer)
  }, [call])

  // A camera's screen says by itself what is to be done now.
  const [live, setLive] = useState<{ key: Key; picture: Subject } | null>(null)
  const onSay = useCallback((key: Key, picture: Subject) => setLive({ key, picture }), [])
  const onCamera = place.at === 'visit' && (place.stage.step === 'face' || place.stage.step === 'photo')
  const { key, picture } = onCamera && live !== null ? live : guidance(place)
  const choices = useMemo(() => choicesOf(place, setup), [place, setup])
  const text = key === null ? 'Kieli · Language · اللغة · زبان · Язык' : t(key)

  // What is signed, and a number to wait with, are read out as well: they are no texts of the catalogue.
  const more = moreOf(place, t)
  // The same sentence is said again for the third try of a finger.
  const turn = place.at === 'visit' && place.stage.step === 'fingers' ? place.stage.done : 0
  const { spoken, mute, again } = useSpeech(voice, tongue, loud && key !== null, key, choices, more, turn, setup.voices.includes(tongue))
  // Who chose the language by ear may not read that there is no voice.
  const rung = useRef(false)
  useEffect(() => {
    if (place.at === 'languages') rung.current = false
    else if (mute && byEar && !rung.current && place.at !== 'called' && place.at !== 'desk') {
      rung.current = true
      void help()
    }
  }, [mute, byEar, place.at, help])

  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus(), [key])

  const n = place.at === 'visit' ? place.stage.n : 0
  const onTaken = useCallback(
    (what: Taken) => {
      visit.current?.taken(n, what)
      setPlace({ at: 'checking' })
    },
    [n],
  )
  const onNumber = useCallback((number: string, scanned: boolean) => {
    visit.current?.number(number, scanned)
    setPlace({ at: 'checking' })
  }, [])
  /** What a choice of the screen does. */
  const onChoice = (of: Choice) => {
    const wanted = services.find((s) => of.key === `service.${s}`)
    if (of.does !== undefined) visit.current?.choose(of.does)
    else if (place.at === 'outcome') start(code, service)
    else if (place.at === 'problem') setPlace({ at: 'code', service })
    else if (wanted === undefined) start('', 'other')
    else {
      setService(wanted)
      setPlace({ at: 'code', service: wanted })
    }
  }
  const ends = place.at === 'outcome' || place.at === 'desk' || place.at === 'called' || place.at === 'problem'

  return (
    <main id="content" className={`kiosk${byEar ? ' by-ear' : ''}`} tabIndex={-1}>
      <div className="kiosk-screen">
        {!onCamera && <Picture of={picture} />}
        <h1 ref={heading} tabIndex={-1}>
          {text}
        </h1>
        {mute && place.at !== 'called' && place.at !== 'desk' && (
          <p className="mute" role="status">
            <Picture of="mute" />
            {t('voice.none')}
          </p>
        )}
        {place.at === 'languages' && (
          <Languages
            voices={setup.voices}
            voice={voice}
            onChoice={(chosen, heard) => {
              setTongue(chosen)
              setByEar(heard)
              setPlace({ at: 'services' })
            }}
          />
        )}
        {place.at === 'code' && <Code t={t} code={code} onCode={setCode} onDone={() => start(code, place.service)} />}
        {place.at === 'visit' && (
          <>
            {place.stage.step === 'zone' && <Zone t={t} onZone={(zone) => visit.current?.zone(zone)} />}
            {place.stage.step === 'applicant' && <Applicant key={place.stage.done} t={t} onNumber={onNumber} />}
            {place.stage.step === 'face' && <Face key={place.stage.n} t={t} order={place.stage.order} onSay={onSay} onTaken={onTaken} />}
            {place.stage.step === 'photo' && <Photo key={place.stage.n} t={t} onSay={onSay} onTaken={onTaken} />}
            {place.stage.step === 'signature' && <Signature key={place.stage.n} t={t} text={place.stage.text} hash={place.stage.hash} onTaken={onTaken} />}
            {place.stage.step === 'scan-check' && place.picture !== null && <Preview picture={place.picture} text={t('scan.check')} />}
          </>
        )}
        {isBusy(place) && <progress aria-label={text} className="busy" />}
        {place.at === 'outcome' && <End t={t} tongue={tongue} outcome={place.outcome} />}
        {choices.length > 0 && (
          <div className="choices">
            {choices.map((c) => (
              <Tile key={c.key} choice={c} t={t} spoken={spoken === c.key} onPress={() => onChoice(c)} />
            ))}
          </div>
        )}
      </div>
      {place.at !== 'languages' && (
        <div className="bar" role="group" aria-label={t('always')}>
          <Button look="secondary" large onPress={leave}>
            <Picture of="again" />
            {t('over')}
          </Button>
          <Button look="secondary" large aria-pressed={loud} onPress={() => setLoud(!loud)}>
            <Icon name={loud && !mute ? 'sound' : 'silent'} />
            {t('sound')}
          </Button>
          <Button look="secondary" large isDisabled={!loud || mute} onPress={again}>
            <Picture of="ear" />
            {t('repeat')}
          </Button>
          <Button large onPress={() => void help()} isDisabled={place.at === 'called'}>
            <Icon name="person" />
            {t('help')}
          </Button>
        </div>
      )}
      {place.at !== 'languages' && <Attention t={t} key={ends ? 'end' : 'visit'} ends={ends} onGone={leave} />}
    </main>
  )
}

interface Choice {
  key: Key
  picture: Subject
  does?: 'none' | 'start' | 'use' | 'again' | 'skip'
}

const pictures: Record<Service, Subject> = { interview: 'hearing', identity: 'identity', card: 'card', passport: 'document', pay: 'payment' }

/** The choices of a screen in their order, in which they are also spoken. */
function choicesOf(place: Place, setup: Setup): Choice[] {
  if (place.at === 'services') return [...setup.services.map((s): Choice => ({ key: `service.${s}`, picture: pictures[s] })), { key: 'service.other', picture: 'other' }]
  if (place.at === 'problem' || (place.at === 'outcome' && place.outcome.result === 'again')) return [{ key: 'retry', picture: 'again' }]
  if (place.at !== 'visit') return []
  switch (place.stage.step) {
    case 'document':
    case 'zone':
      return [{ key: 'document.none', picture: 'no-document', does: 'none' }]
    case 'applicant':
      return [{ key: 'applicant.none', picture: 'no-applicant', does: 'none' }]
    case 'fingers':
      return [{ key: 'finger.other', picture: 'other-finger', does: 'none' }, { key: 'finger.none', picture: 'no-fingers', does: 'skip' }]
    case 'scan':
      return [{ key: 'scan.start', picture: 'scan', does: 'start' }, { key: 'scan.none', picture: 'no-paper', does: 'skip' }]
    case 'scan-check':
      return [{ key: 'scan.use', picture: 'join', does: 'use' }, { key: 'scan.again', picture: 'again', does: 'again' }]
    case 'scan-failed':
      return [{ key: 'scan.again', picture: 'again', does: 'again' }, { key: 'next', picture: 'desk', does: 'skip' }]
    case 'payment':
      return [{ key: 'payment.pay', picture: 'payment', does: 'start' }, { key: 'payment.later', picture: 'later', does: 'skip' }]
    case 'print':
      return [{ key: 'print.start', picture: 'print', does: 'start' }, { key: 'print.no', picture: 'no-paper', does: 'skip' }]
    default:
      return []
  }
}

const busySteps: readonly string[] = ['chip', 'document', 'reading', 'fingers', 'scan-busy', 'payment-busy', 'print-busy'] satisfies Stage['step'][]
const isBusy = (place: Place) => place.at === 'checking' || (place.at === 'visit' && busySteps.includes(place.stage.step))

/** What a screen says and shows; the key names the recorded clip of its sentence. */
function guidance(place: Place): { key: Key | null; picture: Subject } {
  switch (place.at) {
    case 'languages':
      return { key: null, picture: 'hearing' }
    case 'services':
      return { key: 'service.ask', picture: 'hearing' }
    case 'code':
      return { key: 'code.ask', picture: 'code' }
    case 'checking':
      return { key: 'step.checking', picture: 'checking' }
    case 'visit':
      return said(place.stage)
    case 'outcome': {
      const { keys, picture } = sentencesOf(place.outcome)
      return { key: keys[0], picture }
    }
    case 'problem':
      return { key: problemKey(place.problem), picture: 'again' }
    case 'called':
      return { key: place.coming ? 'called.coming' : place.staffed ? 'called.wait' : 'called.nobody', picture: 'desk' }
    case 'desk':
      return { key: 'outcome.desk', picture: 'desk' }
  }
}

/** What a step says: of a finger, which one; of what did not come about, that it is tried again. */
function said({ step, finger, done }: Stage): { key: Key; picture: Subject } {
  const wanted = fingers.find((f) => f === finger)
  if (step === 'fingers' && wanted !== undefined) return { key: done > 0 ? 'finger.again' : `finger.${wanted}`, picture: `finger-${wanted}` }
  if (step === 'applicant' && done > 0) return { key: 'applicant.again', picture: 'applicant' }
  return stages[step]
}

const stages: Record<Stage['step'], { key: Key; picture: Subject }> = {
  document: { key: 'step.document', picture: 'document' },
  zone: { key: 'step.zone', picture: 'document' },
  chip: { key: 'step.chip', picture: 'chip' },
  reading: { key: 'step.reading', picture: 'reading' },
  applicant: { key: 'applicant.ask', picture: 'applicant' },
  face: { key: 'face.ask', picture: 'face' },
  fingers: { key: 'finger.again', picture: 'finger-2' },
  photo: { key: 'photo.ask', picture: 'photo' },
  signature: { key: 'signature.ask', picture: 'signature' },
  scan: { key: 'scan.ask', picture: 'scan' },
  'scan-busy': { key: 'scan.busy', picture: 'scan' },
  'scan-check': { key: 'scan.check', picture: 'scan' },
  'scan-failed': { key: 'scan.failed', picture: 'no-paper' },
  payment: { key: 'payment.ask', picture: 'payment' },
  'payment-busy': { key: 'payment.busy', picture: 'payment' },
  print: { key: 'print.ask', picture: 'print' },
  'print-busy': { key: 'print.busy', picture: 'print' },
}

/** A problem in the few words that help at a kiosk. */
function problemKey({ code }: Document): Key {
  switch (code) {
    case 'not-booked':
    case 'malformed':
    case 'not-found':
    case 'too-early':
    case 'too-late':
      return 'problem.code'
    case 'stalled':
      return 'problem.slow'
    case 'unavailable':
      return 'problem.down'
    default:
      return 'problem'
  }
}

/** What is said beside a screen's own sentence. */
function moreOf(place: Place, t: (key: Key) => string): string {
  if (place.at === 'visit' && place.stage.step === 'signature') return place.stage.text
  return place.at === 'outcome' ? besideOf(place.outcome, t) : ''
}

/** What staff are told of where somebody called from. */
function stepOf(place: Place): string {
  return place.at === 'visit' ? `step.${place.stage.step}` : place.at === 'outcome' ? `outcome.${place.outcome.result}` : place.at
}

async function hasCamera(): Promise<boolean> {
  try {
    return (await navigator.mediaDevices.enumerateDevices()).some((d) => d.kind === 'videoinput')
  } catch {
    return false
  }
}

function useSetup(): Setup {
  const [setup, setSetup] = useState<Setup>({ services: ['interview'], voices: all })
  useEffect(() => {
    void send<{ services: string[]; voices: string[] }>('GET', '/kiosk/setup').then(
      (said) => setSetup({ services: services.filter((s) => said.services.includes(s)), voices: all.filter((v) => said.voices.includes(v)) }),
      () => undefined, // then as a kiosk is usually set up
    )
  }, [])
  return setup
}

/** One voice for the page's life. */
function useVoice(): Voice {
  const [voice] = useState(() => new Voice())
  useEffect(() => () => voice.stop(), [voice])
  return voice
}

/** Says the sentence of a screen, what more there is, then each choice, and tells which it is at. */
function useSpeech(voice: Voice, tongue: Tongue, on: boolean, key: Key | null, choices: Choice[], more: string, turn: number, speaks: boolean): { spoken: Key | null; mute: boolean; again: () => void } {
  const [spoken, setSpoken] = useState<Key | null>(null)
  const [silent, setSilent] = useState(false)
  const [round, setRound] = useState(0)
  const rest = choices.map((c) => c.key).join(' ')
  useEffect(() => {
    if (!on || key === null) return undefined
    let over = false
    const gone = () => over
    const run = async () => {
      const said = await voice.say(tongue, key, say(tongue, key))
      if (gone()) return
      setSilent(said === 'silent')
      if (said === 'spoken' && more !== '') await voice.say(tongue, 'more', more)
      for (const choice of rest.split(' ').filter((c): c is Key => c !== '')) {
        if (gone()) return
        setSpoken(choice)
        if ((await voice.say(tongue, choice, say(tongue, choice))) !== 'spoken') break
      }
      if (!gone()) setSpoken(null)
    }
    void run()
    return () => {
      over = true
      setSpoken(null)
      voice.stop()
    }
  }, [voice, tongue, on, key, rest, more, turn, round])
  return { spoken, mute: key !== null && on && (silent || !speaks), again: () => setRound((n) => n + 1) }
}

/**
 * The languages by their own names. Who does not read touches the ear: each
 * language then asks in its own voice, and a touch of the screen takes it.
 */
function Languages({ voices, voice, onChoice }: { voices: Tongue[]; voice: Voice; onChoice: (tongue: Tongue, byEar: boolean) => void }) {
  const [asking, setAsking] = useState<Tongue | null>(null)
  const [listens, setListens] = useState(false)
  useEffect(() => {
    if (!listens) return undefined
    let over = false
    const gone = () => over
    const run = async () => {
      for (let round = 0; round < 2; round++) {
        for (const tongue of voices) {
          if (gone()) return
          setAsking(tongue)
          const said = await voice.say(tongue, 'hello', say(tongue, 'hello'))
          if (said === 'stopped') return
          await new Promise((resolve) => setTimeout(resolve, said === 'spoken' ? 1500 : 0))
        }
      }
      if (!gone()) {
        setListens(false)
        setAsking(null)
      }
    }
    void run()
    return () => {
      over = true
      voice.stop()
    }
  }, [listens, voices, voice])
  if (listens && asking !== null) {
    return (
      <Button
        large
        wide
        onPress={() => {
          voice.stop()
          onChoice(asking, true)
        }}
      >
        <span className="service asked" lang={asking} dir={tongues[asking].dir}>
          <Picture of="ear" />
          {tongues[asking].name}
        </span>
      </Button>
    )
  }
  return (
    <>
      <div className="choices languages" role="group" aria-label="Kieli · Language">
        {all.map((l) => (
          <Button key={l} look="secondary" large onPress={() => onChoice(l, false)}>
            <span lang={l} dir={tongues[l].dir}>
              {tongues[l].name}
            </span>
            <Icon name={voices.includes(l) ? 'sound' : 'silent'} />
          </Button>
        ))}
      </div>
      <Button large aria-label="Kuuntele · Listen · استمع" isDisabled={voices.length === 0} onPress={() => setListens(true)}>
        <Picture of="ear" />
      </Button>
    </>
  )
}

function Tile({ choice, t, spoken, onPress }: { choice: Choice; t: (key: Key) => string; spoken: boolean; onPress: () => void }) {
  return (
    <Button look={spoken ? 'primary' : 'secondary'} large onPress={onPress}>
      <span className="service">
        <Picture of={choice.picture} />
        {t(choice.key)}
      </span>
    </Button>
  )
}

/** A picture of what was scanned; its address ends with the screen. */
function Preview({ picture, text }: { picture: Blob; text: string }) {
  const image = useRef<HTMLImageElement>(null)
  useEffect(() => {
    const made = URL.createObjectURL(picture)
    if (image.current !== null) image.current.src = made
    return () => URL.revokeObjectURL(made)
  }, [picture])
  return <img ref={image} className="preview" alt={text} />
}

/** The code of the invitation: touched, typed, or read by a scanner that types. */
function Code({ t, code, onCode, onDone }: { t: (key: Key) => string; code: string; onCode: (code: string) => void; onDone: () => void }) {
  const add = useCallback((key: string) => onCode((code + symbol(key)).slice(0, length)), [code, onCode])
  useEffect(() => {
    const typed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return
      if (event.key === 'Backspace') onCode(code.slice(0, -1))
      else if (event.key === 'Enter' && isRight(code) && !(event.target instanceof HTMLButtonElement)) onDone()
      else if (event.key.length === 1 && event.key !== ' ') add(event.key)
    }
    window.addEventListener('keydown', typed)
    return () => window.removeEventListener('keydown', typed)
  }, [add, code, onCode, onDone])
  const full = code.length === length
  const right = isRight(code)
  return (
    <div className="code">
      <output dir="ltr" aria-label={t('code.label')} className={full && !right ? 'wrong' : ''}>
        {grouped(code) || '····-····-·'}
      </output>
      <p role="status" className="wrong">
        {full && !right ? t('code.wrong') : ''}
      </p>
      <div className="keys" dir="ltr" role="group" aria-label={t('code.keys')}>
        {keys.map((row) => (
          <div key={row.join('')}>
            {row.map((k) => (
              <Button key={k} look="secondary" isDisabled={full} onPress={() => add(k)}>
                {k}
              </Button>
            ))}
            {row.includes('U') && (
              <Button look="secondary" aria-label={t('code.delete')} isDisabled={code === ''} onPress={() => onCode(code.slice(0, -1))}>
                ⌫
              </Button>
            )}
          </div>
        ))}
      </div>
      <Button large wide isDisabled={!right} onPress={onDone}>
        {t('next')}
      </Button>
    </div>
  )
}

/** Where the kiosk has no document reader, the zone is typed; staff helps with that. */
function Zone({ t, onZone }: { t: (key: Key) => string; onZone: (zone: string) => void }) {
  const [zone, setZone] = useState('')
  return (
    <div className="zone stack">
      <Field label={t('zone.label')} help={t('zone.help')} value={zone} onChange={(text) => setZone(text.toUpperCase())} lines first />
      <Button large isDisabled={zone.replace(/\s/g, '').length < 72} onPress={() => onZone(zone)}>
        {t('next')}
      </Button>
    </div>
  )
}

const noteSubjects: Record<Outcome['notes'][number], Subject> = { 'payment.paid': 'payment', 'payment.failed': 'payment', 'print.done': 'print', 'print.failed': 'print', 'print.paper': 'no-paper' }

/** The number to wait with, large: it is known by its look, and said. */
function Waiting({ t, number }: { t: (key: Key) => string; number: NonNullable<Outcome['number']> }) {
  return (
    <section className="join number" aria-label={t('number.yours')}>
      <div>
        <p>{t('number.yours')}</p>
        <p className="large">
          <bdi dir="ltr">{number.text}</bdi>
        </p>
        <p>
          <bdi>{number.label}</bdi>
        </p>
      </div>
      <dl>
        <div>
          <dt>{t('number.ahead')}</dt>
          <dd>
            <bdi>{number.ahead}</bdi>
          </dd>
        </div>
        {number.wait >= 0 && (
          <div>
            <dt>{t('number.minutes')}</dt>
            <dd>
              <bdi>{Math.max(1, Math.ceil(number.wait / 60))}</bdi>
            </dd>
          </div>
        )}
      </dl>
      {number.printed && (
        <p className="note">
          <Picture of="print" />
          {t('number.take')}
        </p>
      )}
    </section>
  )
}

/** Where the person goes now, and what to take along. */
function End({ t, tongue, outcome }: { t: (key: Key) => string; tongue: Tongue; outcome: Outcome }) {
  const [, ...rest] = sentencesOf(outcome).keys
  return (
    <>
      {outcome.result === 'join' && (
        <dl className="join">
          <div>
            <dt>{t('where')}</dt>
            <dd>
              <bdi>{outcome.place}</bdi>
            </dd>
          </div>
          <div>
            <dt>{t('until')}</dt>
            <dd>
              <bdi>{clock(tongue, outcome.expires)}</bdi>
            </dd>
          </div>
        </dl>
      )}
      {rest.map((key) => (
        <p key={key} className="lead">
          {t(key)}
        </p>
      ))}
      {outcome.number !== null && <Waiting t={t} number={outcome.number} />}
      {outcome.handover !== '' && (
        <figure className="handover">
          <Square rows={outcome.square} />
          <figcaption>
            {t('handover.show')} <code dir="ltr">{outcome.handover}</code>
          </figcaption>
        </figure>
      )}
      {outcome.notes.map((n) => (
        <p key={n} className="note">
          <Picture of={noteSubjects[n]} />
          {t(n)}
        </p>
      ))}
    </>
  )
}

/** A QR code, drawn from its rows. */
function Square({ rows }: { rows: string[] }) {
  const size = rows.length
  const path = rows.flatMap((row, y) => Array.from(row).flatMap((bit, x) => (bit === '1' ? [`M${x + 4} ${y + 4}h1v1h-1z`] : []))).join('')
  return (
    <svg className="square" viewBox={`0 0 ${size + 8} ${size + 8}`} shapeRendering="crispEdges" aria-hidden="true" focusable="false">
      <path d={`M0 0h${size + 8}v${size + 8}H0z`} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  )
}

/** Clears the page when nobody is there any more: what one person entered is not the next one's to see. */
function Attention({ t, ends, onGone }: { t: (key: Key, seconds?: number) => string; ends: boolean; onGone: () => void }) {
  const [left, setLeft] = useState(ends ? endSeconds : idleSeconds)
  useEffect(() => {
    const stay = () => setLeft((now) => (ends || now > 0 ? (ends ? endSeconds : idleSeconds) : now))
    const timer = setInterval(() => setLeft((now) => now - 1), 1000)
    window.addEventListener('pointerdown', stay)
    window.addEventListener('keydown', stay)
    return () => {
      clearInterval(timer)
      window.removeEventListener('pointerdown', stay)
      window.removeEventListener('keydown', stay)
    }
  }, [ends])
  const gone = left <= (ends ? 0 : -answerSeconds)
  useEffect(() => {
    if (gone) onGone()
  }, [gone, onGone])
  return (
    <Dialog title={t('there.title')} open={!ends && left <= 0 && !gone} onClose={() => setLeft(idleSeconds)}>
      <p className="lead">{t('there.body', Math.max(0, left + answerSeconds))}</p>
      <Button large wide onPress={() => setLeft(idleSeconds)}>
        <Picture of="join" />
        {t('there.yes')}
      </Button>
    </Dialog>
  )
}
