import { useCallback, useEffect, useRef, useState } from 'react'
import type { CallID, Document } from '../api/words'
import { desk } from '../desk/desk'
import { forgetLanguage, languages, setLanguage, useTexts, type Language } from '../i18n'
import { Button, Dialog, Field } from '../ui/controls'
import { Icon } from '../ui/Icon'
import './kiosk.css'
import { Picture, type Subject } from './Picture'
import { grouped, isRight, keys, length, symbol } from './reference'
import { VisitSocket, type Outcome, type Step } from './visit'
import { Voice } from './voice'

type Place =
  | { at: 'languages' }
  | { at: 'services' }
  | { at: 'code' }
  | { at: 'visit'; step: Step; done: number }
  | { at: 'outcome'; outcome: Outcome }
  | { at: 'problem'; problem: Document }
  | { at: 'desk' }
  | { at: 'called'; coming: boolean }

const begin: Place = { at: 'languages' }

/** Untouched for so long, the page asks whether somebody is there, then clears itself for the next person. */
const idleSeconds = 60
const answerSeconds = 15
/** What is shown at the end stays so long; then nothing of the visit is left. */
const endSeconds = 45

/**
 * The kiosk's touch page: one person after the other, who may not be able to
 * read. Each screen is one picture, one sentence that is also spoken, and at
 * most two large choices. Help and a fresh start are on every screen.
 */
export function Kiosk() {
  const { t, language } = useTexts()
  const [place, setPlace] = useState<Place>(begin)
  const [code, setCode] = useState('')
  const [loud, setLoud] = useState(true)
  const [call, setCall] = useState<CallID | null>(null)
  const visit = useRef<VisitSocket | null>(null)
  const voice = useVoice()

  const leave = useCallback(() => {
    visit.current?.close()
    visit.current = null
    voice.stop()
    setCode('')
    setCall(null)
    forgetLanguage()
    setPlace(begin)
  }, [voice])
  useEffect(() => leave, [leave])

  const start = (reference: string) => {
    visit.current?.close()
    visit.current = new VisitSocket(reference, (now) => {
      if (now.at === 'step') setPlace({ at: 'visit', step: now.step, done: now.done })
      else setPlace(now)
    })
  }

  // A call that reaches nobody still leads somewhere: to the desk.
  const help = async () => {
    visit.current?.close()
    visit.current = null
    try {
      const { call: raised } = await desk.raise(language, guidance(place, t).key)
      setCall(raised)
      setPlace({ at: 'called', coming: false })
    } catch {
      setPlace({ at: 'desk' })
    }
  }
  useEffect(() => {
    if (call === null) return undefined
    const timer = setInterval(() => {
      void desk.called(call).then(
        ({ answered }) => {
          if (!answered) return
          setCall(null)
          setPlace({ at: 'called', coming: true })
        },
        () => undefined, // asked again
      )
    }, 2000)
    return () => clearInterval(timer)
  }, [call])

  const { key, picture, text } = guidance(place, t)
  useEffect(() => {
    if (loud && key !== 'languages') void voice.say(language, key, text)
    return () => voice.stop()
  }, [loud, voice, language, key, text])
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus(), [key])

  const ends = place.at === 'outcome' || place.at === 'desk' || place.at === 'called' || place.at === 'problem'
  return (
    <main id="content" className="kiosk" tabIndex={-1}>
      <div className="screen">
        <Picture of={picture} />
        <h1 ref={heading} tabIndex={-1}>
          {text}
        </h1>
        {place.at === 'languages' && <Languages onChoice={() => setPlace({ at: 'services' })} />}
        {place.at === 'services' && (
          <div className="choices">
            <Tile picture="hearing" text={t('kiosk.service.hearing')} onPress={() => setPlace({ at: 'code' })} />
            <Tile picture="other" text={t('kiosk.service.other')} onPress={() => setPlace({ at: 'desk' })} />
          </div>
        )}
        {place.at === 'code' && <Code code={code} onCode={setCode} onDone={() => start(code)} />}
        {place.at === 'visit' && place.step === 'zone' && <Zone onZone={(zone) => visit.current?.zone(zone)} />}
        {place.at === 'visit' && place.step !== 'zone' && <progress aria-label={text} className="busy" />}
        {place.at === 'outcome' && place.outcome.result === 'join' && <Join outcome={place.outcome} />}
        {place.at === 'outcome' && place.outcome.result === 'again' && (
          <Button large onPress={() => start(code)}>
            {t('shared.retry')}
          </Button>
        )}
        {place.at === 'problem' && <WhatHappened problem={place.problem} onAgain={() => setPlace({ at: 'code' })} />}
      </div>
      {place.at !== 'languages' && (
        <div className="bar" role="group" aria-label={t('kiosk.always')}>
          <Button look="secondary" large onPress={leave}>
            {t('kiosk.over')}
          </Button>
          <Button look="secondary" large aria-pressed={loud} onPress={() => setLoud(!loud)}>
            <Icon name={loud ? 'sound' : 'silent'} />
            {t('kiosk.sound')}
          </Button>
          <Button look="secondary" large isDisabled={!loud} onPress={() => void voice.say(language, key, text)}>
            <Icon name="sound" />
            {t('kiosk.repeat')}
          </Button>
          <Button large onPress={() => void help()} isDisabled={place.at === 'called'}>
            <Icon name="person" />
            {t('kiosk.help')}
          </Button>
        </div>
      )}
      {place.at !== 'languages' && <Attention key={ends ? 'end' : 'visit'} ends={ends} onGone={leave} />}
    </main>
  )
}

type Texts = ReturnType<typeof useTexts>['t']

/** What a screen says and shows; the key names the recorded clip of its sentence. */
function guidance(place: Place, t: Texts): { key: string; picture: Subject; text: string } {
  switch (place.at) {
    case 'languages':
      return { key: 'languages', picture: 'hearing', text: 'Kieli · Language · اللغة' }
    case 'services':
      return { key: 'service', picture: 'hearing', text: t('kiosk.service.ask') }
    case 'code':
      return { key: 'code', picture: 'code', text: t('kiosk.code.ask') }
    case 'visit': {
      const picture = place.step === 'zone' ? 'document' : place.step
      return { key: `step.${place.step}`, picture, text: t(`kiosk.step.${place.step}`) }
    }
    case 'outcome': {
      const { result } = place.outcome
      return { key: `outcome.${result}`, picture: result, text: t(`kiosk.outcome.${result}`) }
    }
    case 'problem':
      return { key: 'problem', picture: 'again', text: t('kiosk.problem') }
    case 'called':
      return { key: place.coming ? 'called.coming' : 'called.wait', picture: 'desk', text: place.coming ? t('kiosk.called.coming') : t('kiosk.called.wait') }
    case 'desk':
      return { key: 'outcome.desk', picture: 'desk', text: t('kiosk.outcome.desk') }
  }
}

/** One voice for the page's life. */
function useVoice(): Voice {
  const [voice] = useState(() => new Voice())
  useEffect(() => () => voice.stop(), [voice])
  return voice
}

function Languages({ onChoice }: { onChoice: () => void }) {
  const { t } = useTexts()
  return (
    <div className="choices" role="group" aria-label={t('applicant.choose')}>
      {(Object.keys(languages) as Language[]).map((l) => (
        <Button
          key={l}
          look="secondary"
          large
          onPress={() => {
            setLanguage(l)
            onChoice()
          }}
        >
          <span lang={l} dir={languages[l].dir}>
            {t(`shared.languages.${l}`)}
          </span>
        </Button>
      ))}
    </div>
  )
}

function Tile({ picture, text, onPress }: { picture: Subject; text: string; onPress: () => void }) {
  return (
    <Button look="secondary" large onPress={onPress}>
      <span className="service">
        <Picture of={picture} />
        {text}
      </span>
    </Button>
  )
}

/** The code of the invitation: touched, typed, or read by a scanner that types. */
function Code({ code, onCode, onDone }: { code: string; onCode: (code: string) => void; onDone: () => void }) {
  const { t } = useTexts()
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
      <output dir="ltr" aria-label={t('kiosk.code.label')} className={full && !right ? 'wrong' : ''}>
        {grouped(code) || '····-····-·'}
      </output>
      <p role="status" className="wrong">
        {full && !right ? t('kiosk.code.wrong') : ''}
      </p>
      <div className="keys" dir="ltr" role="group" aria-label={t('kiosk.code.keys')}>
        {keys.map((row) => (
          <div key={row.join('')}>
            {row.map((k) => (
              <Button key={k} look="secondary" isDisabled={full} onPress={() => add(k)}>
                {k}
              </Button>
            ))}
            {row.includes('U') && (
              <Button look="secondary" aria-label={t('kiosk.code.delete')} isDisabled={code === ''} onPress={() => onCode(code.slice(0, -1))}>
                ⌫
              </Button>
            )}
          </div>
        ))}
      </div>
      <Button large wide isDisabled={!right} onPress={onDone}>
        {t('kiosk.next')}
      </Button>
    </div>
  )
}

/** Where the kiosk has no document reader, the zone is typed; staff helps with that. */
function Zone({ onZone }: { onZone: (zone: string) => void }) {
  const { t } = useTexts()
  const [zone, setZone] = useState('')
  return (
    <div className="zone stack">
      <Field label={t('kiosk.zone.label')} help={t('kiosk.zone.help')} value={zone} onChange={(text) => setZone(text.toUpperCase())} lines first />
      <Button large isDisabled={zone.replace(/\s/g, '').length < 72} onPress={() => onZone(zone)}>
        {t('kiosk.next')}
      </Button>
    </div>
  )
}

function Join({ outcome }: { outcome: Outcome }) {
  const { t, time } = useTexts()
  return (
    <dl className="join">
      <div>
        <dt>{t('kiosk.where')}</dt>
        <dd>
          <bdi>{outcome.place}</bdi>
        </dd>
      </div>
      <div>
        <dt>{t('kiosk.until')}</dt>
        <dd>
          <bdi>{time(outcome.expires)}</bdi>
        </dd>
      </div>
    </dl>
  )
}

function WhatHappened({ problem, onAgain }: { problem: Document; onAgain: () => void }) {
  const { t } = useTexts()
  return (
    <div className="stack" role="alert">
      <p className="lead">{t(`problem.${problem.code}`)}</p>
      <p className="lead">{t(`way.${problem.way}`)}</p>
      <Button large onPress={onAgain}>
        {t('shared.retry')}
      </Button>
    </div>
  )
}

/** Clears the page when nobody is there any more: what one person entered is not the next one's to see. */
function Attention({ ends, onGone }: { ends: boolean; onGone: () => void }) {
  const { t } = useTexts()
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
    <Dialog title={t('kiosk.there.title')} open={!ends && left <= 0 && !gone} onClose={() => setLeft(idleSeconds)}>
      <p className="lead">{t('kiosk.there.body', { seconds: Math.max(0, left + answerSeconds) })}</p>
      <Button large wide onPress={() => setLeft(idleSeconds)}>
        {t('kiosk.there.yes')}
      </Button>
    </Dialog>
  )
}
