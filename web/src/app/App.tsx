import { Component, lazy, Suspense, useCallback, useEffect, useState, type MouseEvent, type ReactNode } from 'react'
import { I18nProvider } from 'react-aria-components'
import { gateway, type Device, type SignIn } from '../api/http'
import type { Me, TodaysHearing, OpenRecord } from '../api/model'
import { Problem, problemOf } from '../api/problem'
import { codes, type Document, type HearingID } from '../api/words'
import { Home as ApplicantHome } from '../applicant/Home'
import { Room as ApplicantRoom } from '../applicant/Room'
import { ownMedia } from '../media/capture'
import { lastStay } from '../media/stay'
import { languages, setLanguage, useTexts, type Language } from '../i18n'
import { Review } from '../record/Review'
import type { Answer } from '../room/Notice'
import { Button, Choice, Notice } from '../ui/controls'
import { ProblemNotice, Refusal } from '../ui/Refusal'
import { personaOf, whoAmI, type Boot, type Persona } from './boot'
import { StartNeeded, Unsupported } from './Start'

const InterviewerHome = lazy(() => import('../interviewer/Home').then((m) => ({ default: m.Home })))
const InterviewerRoom = lazy(() => import('../interviewer/Room').then((m) => ({ default: m.Room })))
const After = lazy(() => import('../interviewer/After').then((m) => ({ default: m.After })))
const WaitingScreen = lazy(() => import('../screen/Screen').then((m) => ({ default: m.Screen })))
const Desk = lazy(() => import('../desk/Home').then((m) => ({ default: m.Home })))
const Kiosk = lazy(() => import('../kiosk/Kiosk').then((m) => ({ default: m.Kiosk })))
const Listening = lazy(() => import('../applicant/Listening').then((m) => ({ default: m.Listening })))
const CounselHome = lazy(() => import('../counsel/Home').then((m) => ({ default: m.Home })))
const CounselRoom = lazy(() => import('../counsel/Room').then((m) => ({ default: m.Room })))

export function App({ booting }: { booting: Promise<Boot> }) {
  const { locale } = useTexts()
  const [booted, setBooted] = useState<Boot | null>(null)
  useEffect(() => {
    void booting.then(setBooted)
  }, [booting])
  return (
    <I18nProvider locale={locale}>
      <Guard>
        <Frame booted={booted} />
      </Guard>
    </I18nProvider>
  )
}

function Frame({ booted }: { booted: Boot | null }) {
  const { t, language, dir } = useTexts()
  const ready = booted?.state === 'ready' ? booted : null
  const persona = ready === null ? null : personaOf(ready.device, ready.me)
  // The applicant chooses the language on the page itself; staff pages are not in all of them.
  const choices = (Object.keys(languages) as Language[]).filter((l) => languages[l].staff || persona === 'applicant' || persona === 'kiosk' || persona === null)
  useEffect(() => {
    if (persona !== null && persona !== 'applicant' && persona !== 'kiosk' && !languages[language].staff) setLanguage('en')
  }, [persona, language])
  return (
    <>
      <a className="skip" href="#content" onClick={skip}>
        {t('shared.skip')}
      </a>
      {/* The kiosk turns the page for its own languages, which these texts are not in. */}
      {ready?.device.trust.demonstration === true && (
        <p className="demo" lang={language} dir={dir}>
          {t('shared.demonstration')}
        </p>
      )}
      <header className="top">
        <div>
          <span className="mark">
            <img src="/kuule.svg" alt="" />
            Kuule
          </span>
          <div className="facts">
            {ready !== null && <span>{t('shared.device', { label: ready.device.label })}</span>}
            {ready?.me.person != null && <span>{t('shared.signedIn', { name: ready.me.person.name })}</span>}
            <div className="language" hidden={persona === 'kiosk' || persona === 'screen'}>
              <Choice label={t('shared.language')} hideLabel value={language} onChange={setLanguage} options={choices.map((l) => ({ id: l, text: t(`shared.languages.${l}`), lang: l }))} />
            </div>
          </div>
        </div>
      </header>
      {booted === null ? (
        <main id="content" className="page narrow" tabIndex={-1}>
          <p role="status">{t('shared.loading')}</p>
        </main>
      ) : booted.state === 'unsupported' ? (
        <Unsupported />
      ) : booted.state === 'no-session' ? (
        <StartNeeded problem={booted.problem} />
      ) : booted.state === 'refused' ? (
        <Refusal problem={booted.problem} />
      ) : (
        <Suspense
          fallback={
            <main id="content" className="page narrow" tabIndex={-1}>
              <p role="status">{t('shared.loading')}</p>
            </main>
          }
        >
          <Pages first={booted.me} device={booted.device} signIn={booted.signIn} problem={booted.problem} />
        </Suspense>
      )}
    </>
  )
}

/** Moves the focus without writing to the address, which is for start codes alone. */
function skip(event: MouseEvent) {
  event.preventDefault()
  document.getElementById('content')?.focus()
}

type Place = { at: 'home' } | { at: 'room'; hearing: TodaysHearing; media: MediaStream | null; answer: Answer | null; attempt: number } | { at: 'after'; hearing: TodaysHearing } | { at: 'record'; record: OpenRecord } | { at: 'listening'; hearing: HearingID | null }

const refreshEvery = 5000

/** Where the person is in the app. There are no addresses: a reload needs a new start link anyway. */
function Pages({ first, device, signIn, problem }: { first: Me; device: Device; signIn: SignIn; problem: string }) {
  const [me, setMe] = useState(first)
  const [place, setPlace] = useState<Place>({ at: 'home' })
  const [failed, setFailed] = useState<Document | null>(() => codeProblem(problem))
  const persona = personaOf(device, me)

  const refresh = useCallback(async () => {
    try {
      setMe(await whoAmI())
    } catch (thrown) {
      const { document } = Problem.of(thrown)
      if (document.code === 'bearer') setFailed(document)
    }
  }, [])
  useEffect(() => {
    if (place.at !== 'home') return undefined
    const timer = setInterval(() => void refresh(), refreshEvery)
    return () => clearInterval(timer)
  }, [place.at, refresh])

  const home = () => {
    setPlace({ at: 'home' })
    void refresh()
  }
  // Who did not try camera and microphone before is asked for them at the door.
  const open = async (hearing: TodaysHearing, tried: MediaStream | null = null, answer: Answer | null = null) => {
    const media = tried ?? (await ownMedia(hearing.seats.map((s) => s.role)))
    setPlace({ at: 'room', hearing, media, answer, attempt: 0 })
  }

  // A page that is back after a reload goes to its seat by itself: the person is in the middle of a hearing.
  const [returning] = useState(() => {
    const stay = lastStay()
    return first.hearings.find((h) => h.hearing === stay?.hearing && h.phase !== 'ended' && h.seats.length > 0) ?? null
  })
  useEffect(() => {
    if (returning === null) return
    void ownMedia(returning.seats.map((s) => s.role)).then((media) => setPlace({ at: 'room', hearing: returning, media, answer: null, attempt: 0 }))
  }, [returning])

  if (failed?.code === 'bearer') return <StartNeeded problem={failed} />
  switch (place.at) {
    case 'after':
      return <After hearing={place.hearing} onHome={home} />
    case 'record':
      return <Review open={place.record} applicant={persona === 'applicant'} onHome={home} />
    case 'listening':
      return <Listening hearing={place.hearing} onHome={home} />
    case 'room': {
      const again = () => setPlace({ ...place, attempt: place.attempt + 1 })
      const common = { key: place.attempt, hearing: place.hearing, device, media: place.media, onHome: home, onAgain: again }
      if (persona === 'applicant') return <ApplicantRoom {...common} key={common.key} answer={place.answer} />
      if (persona === 'interviewer') return <InterviewerRoom {...common} key={common.key} onEnded={() => setPlace({ at: 'after', hearing: place.hearing })} />
      return <CounselRoom {...common} key={common.key} />
    }
    case 'home':
      return <Homes persona={persona} me={me} signIn={signIn} failed={failed} open={open} setPlace={setPlace} refresh={refresh} />
  }
}

interface HomesProps {
  persona: Persona
  me: Me
  signIn: SignIn
  failed: Document | null
  open: (hearing: TodaysHearing, tried?: MediaStream | null, answer?: Answer | null) => Promise<void>
  setPlace: (place: Place) => void
  refresh: () => Promise<void>
}

function Homes({ persona, me, signIn, failed, open, setPlace, refresh }: HomesProps) {
  const { t } = useTexts()
  const onRecord = (record: OpenRecord) => setPlace({ at: 'record', record })
  switch (persona) {
    case 'kiosk':
      return <Kiosk />
    case 'screen':
      return <WaitingScreen />
    case 'officer':
      return <Desk />
    case 'applicant':
      return <ApplicantHome me={me} canSignIn={signIn.available} failed={failed} onOpen={(...opened) => void open(...opened)} onRecord={onRecord} onListen={(hearing) => setPlace({ at: 'listening', hearing })} onChanged={refresh} />
    case 'interviewer':
      return <InterviewerHome me={me} onOpen={(hearing) => void open(hearing)} onTranscript={(hearing) => setPlace({ at: 'after', hearing })} onChanged={() => void refresh()} />
    case 'counsel':
      return <CounselHome me={me} onOpen={(...opened) => void open(...opened)} onRecord={onRecord} />
    case 'none':
      return (
        <main id="content" className="page narrow stack" tabIndex={-1}>
          <h1>{t('staff.noRole.title')}</h1>
          <Notice>
            <p>{t('staff.noRole.body')}</p>
          </Notice>
        </main>
      )
    case 'nobody':
      return <SignInPage available={signIn.available} failed={failed} />
  }
}

function SignInPage({ available, failed }: { available: boolean; failed: Document | null }) {
  const { t } = useTexts()
  const [problem, setProblem] = useState(failed)
  const start = async () => {
    try {
      const { url } = await gateway.signInStart()
      location.assign(url)
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
  }
  return (
    <main id="content" className="page narrow stack" tabIndex={-1}>
      <h1>{t('staff.signInNeeded')}</h1>
      <ProblemNotice problem={problem} />
      <div className="card stack">
        <p>{t('staff.signInHelp')}</p>
        <div>
          <Button large isDisabled={!available} onPress={() => void start()}>
            {t('shared.signIn')}
          </Button>
        </div>
      </div>
    </main>
  )
}

function codeProblem(code: string): Document | null {
  const known = codes.find((c) => c === code)
  return known === undefined ? null : problemOf(known)
}

/** Keeps a failure on the page from blanking it: there is always a way on. */
class Guard extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false }

  static getDerivedStateFromError() {
    return { failed: true }
  }

  override render() {
    return this.state.failed ? <Failed /> : this.props.children
  }
}

function Failed() {
  const { t } = useTexts()
  return (
    <main id="content" className="page narrow stack">
      <h1>{t('shared.error.title')}</h1>
      <Notice kind="alert">
        <p>{t('shared.error.body')}</p>
      </Notice>
    </main>
  )
}
