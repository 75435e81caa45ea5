import { useEffect, useState } from 'react'
import { api, gateway } from '../api/http'
import type { Me, OpenRecord, TodaysHearing, WaitingTicket } from '../api/model'
import { Problem } from '../api/problem'
import type { Document, HearingID, Role } from '../api/words'
import { languages, setLanguage, useTexts, type Language } from '../i18n'
import { viewings } from '../player/api'
import { RecordingNotice, type Answer } from '../room/Notice'
import { SelfTest } from '../room/SelfTest'
import { Button } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { ProblemNotice } from '../ui/Refusal'
import { Seating } from './Seating'

/** What the applicant does before the interview: language, notice, self-test, one large button. */
export function Home({ me, canSignIn, failed, onOpen, onRecord, onListen, onChanged }: { me: Me; canSignIn: boolean; failed: Document | null; onOpen: (hearing: TodaysHearing, media: MediaStream | null, answer: Answer | null) => void; onRecord: (record: OpenRecord) => void; onListen: (hearing: HearingID | null) => void; onChanged: () => Promise<void> }) {
  const { t, time } = useTexts()
  const [media, setMedia] = useState<MediaStream | null>(null)
  const [answer, setAnswer] = useState<Answer | null>(null)
  const [problem, setProblem] = useState<Document | null>(failed)
  const hearing = me.hearings.find((h) => h.phase !== 'ended' && h.seats.length > 0)
  const { tickets, records } = me

  // Whom an interviewer seated here listens without a ticket.
  const [seated, setSeated] = useState(false)
  useEffect(() => {
    if (hearing !== undefined) return
    void viewings.mine().then((list) => setSeated(list.some((v) => v.mine && v.station === true && v.state === 'allowed')), () => undefined)
  }, [me, hearing])
  const review = me.reviews.at(0) ?? null
  const listens = hearing === undefined && (seated || review !== null)
  const staff = me.person?.roles.includes('interviewer') === true

  const redeem = async (ticket: WaitingTicket) => {
    try {
      await api.redeem(ticket)
      setProblem(null)
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
    await onChanged()
  }

  // The applicant never signs in; who sits beside, does. The pages stay the applicant's.
  const signingIn = canSignIn && me.person === null ? [...new Set(me.hearings.filter((h) => h.phase !== 'ended').flatMap((h) => h.awaited))].filter((r) => r !== 'applicant') : []
  const signIn = async () => {
    try {
      const { url } = await gateway.signInStart()
      location.assign(url)
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
  }

  return (
    <main id="content" className="page narrow stack plain" tabIndex={-1}>
      <h1>{t('applicant.welcome')}</h1>
      <Languages />
      <ProblemNotice problem={problem} />
      {tickets.map((ticket) => (
        <div key={ticket.ticket} className="card stack">
          <p className="lead">
            {t(`shared.role.${ticket.role}`)}
          </p>
          <Button large wide onPress={() => void redeem(ticket)}>
            {ticket.purpose === 'review' ? t('applicant.read') : t('applicant.enter')}
          </Button>
        </div>
      ))}
      {records.map((r) => (
        <div key={r.record} className="card stack">
          <h2>{t('shared.record.title')}</h2>
          <Button large wide onPress={() => onRecord(r)}>
            {t('applicant.read')}
          </Button>
        </div>
      ))}
      {listens && (
        <div className="card stack">
          <h2>{t('shared.player.own.title')}</h2>
          <Button large wide onPress={() => onListen(review)}>
            <Icon name="ear" size={36} />{t('shared.player.own.listen')}
          </Button>
        </div>
      )}
      {hearing !== undefined && (
        <>
          <RecordingNotice onAnswer={setAnswer} />
          <SelfTest roles={[...hearing.seats.map((s) => s.role), ...hearing.awaited]} onMedia={setMedia} />
          <div className="card stack">
            <div>
              <h2>{t('applicant.hearing')}</h2>
              <p className="lead">{t('applicant.at', { time: time(Date.parse(hearing.opens) / 1000) })}</p>
              {hearing.seats.map((s) => (
                <p key={s.seat}>
                  {s.name} <span className="quiet">{t(`shared.role.${s.role}`)}</span>
                </p>
              ))}
            </div>
            <Button large wide isDisabled={answer === null} onPress={() => onOpen(hearing, media, answer)}>
              {t('applicant.enter')}
            </Button>
          </div>
        </>
      )}
      {signingIn.map((role) => (
        <SignIn key={role} role={role} onPress={() => void signIn()} />
      ))}
      {hearing === undefined && staff && <Seating me={me} onSeated={() => void onChanged()} />}
      {hearing === undefined && tickets.length === 0 && records.length === 0 && !listens && !staff && (
        <div className="card stack tight">
          <h2>{t('applicant.nothing.title')}</h2>
          <p>{t('applicant.nothing.body')}</p>
        </div>
      )}
      {hearing === undefined && canSignIn && me.person === null && signingIn.length === 0 && (
        <div>
          <Button look="quiet" onPress={() => void signIn()}>
            {t('shared.player.own.staff')}
          </Button>
        </div>
      )}
    </main>
  )
}

function SignIn({ role, onPress }: { role: Role; onPress: () => void }) {
  const { t } = useTexts()
  return (
    <div className="card row spread">
      <p>{t(`shared.role.${role}`)}</p>
      <Button look="secondary" onPress={onPress}>
        {t('shared.signIn')}
      </Button>
    </div>
  )
}

/** The choice of language: each in its own words, so that nobody has to read another. */
function Languages() {
  const { t, language } = useTexts()
  return (
    <div role="group" aria-label={t('applicant.choose')} className="languages">
      {(Object.keys(languages) as Language[]).map((l) => (
        <Button key={l} large look={l === language ? 'primary' : 'secondary'} aria-pressed={l === language} onPress={() => setLanguage(l)}>
          <span lang={l}>{t(`shared.languages.${l}`)}</span>
        </Button>
      ))}
    </div>
  )
}
