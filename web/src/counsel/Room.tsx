import { useState } from 'react'
import type { Device } from '../api/http'
import type { TodaysHearing } from '../api/model'
import { useTexts } from '../i18n'
import { Ends } from '../room/Ends'
import { Controls, OwnNotices } from '../room/Controls'
import { Clock, Details, find, namesOf, People, PhaseNotice, RecordSign, Screens, Sounds, Tile } from '../room/parts'
import { useRoom } from '../room/useRoom'
import { Waiting } from '../room/Waiting'
import { Button, Notice, Section } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { ProblemNotice } from '../ui/Refusal'

/** The room for counsel, interpreter and representative. */
export function Room({ hearing, device, media, onHome, onAgain }: { hearing: TodaysHearing; device: Device; media: MediaStream | null; onHome: () => void; onAgain: () => void }) {
  const { t } = useTexts()
  const { room, state } = useRoom(hearing, device, media, onAgain)
  const [asked, setAsked] = useState(false)
  if (state.stage === 'refused' || state.stage === 'superseded' || state.stage === 'left' || state.stage === 'again' || state.phase.phase === 'ended') {
    return <Ends state={state} onAgain={onAgain} onHome={onHome} />
  }
  if (state.stage !== 'in') return <Waiting room={room} state={state} />

  const applicant = find(state.people, 'applicant')
  const interviewer = find(state.people, 'interviewer')
  const others = state.people.filter((p) => !p.recorder && p !== applicant && p !== interviewer && !p.self)
  const self = state.people.find((p) => p.self)
  const ask = (what: 'break' | 'speak') => void room.raise(what).then(() => setAsked(true))

  return (
    <main id="content" className="page wide hearing" tabIndex={-1}>
      <div className={`phase-bar ${state.sign}`}>
        <div className="phase-what">
          <h1>{t('staff.counsel.room', { diary: hearing.diary })}</h1>
          <p>
            <span className="label">{t(`shared.phase.${state.phase.phase}`)}</span> <Clock room={room} />
          </p>
        </div>
        <RecordSign state={state} />
        <div className="phase-controls">
          <Button large look="secondary" onPress={() => ask('speak')}>
            <Icon name="hand" />
            {t('shared.raise.speak')}
          </Button>
          <Button large look="secondary" onPress={() => ask('break')}>
            <Icon name="pause" />
            {t('shared.raise.break')}
          </Button>
        </div>
      </div>
      <div className="alerts stack tight">
        <ProblemNotice problem={state.problem} />
        <PhaseNotice state={state} />
        <OwnNotices room={room} state={state} />
        {asked && <Notice kind="success" title={t('shared.raise.sent')} live />}
      </div>
      <div className="desk even">
        <div className="faces">
          <Screens room={room} state={state} />
          <Tile large room={room} person={applicant} label={applicant === undefined ? t('staff.room.applicantMissing') : namesOf(applicant.seats)} />
        </div>
        <div className="faces">
          <div className="tiles two">
            <Tile room={room} person={interviewer} label={interviewer === undefined ? t('applicant.noInterviewer') : t('shared.beside', { first: namesOf(interviewer.seats), second: t('shared.role.interviewer') })} />
            {others.map((p) => (
              <Tile key={p.member} room={room} person={p} label={namesOf(p.seats)} />
            ))}
            {self !== undefined && <Tile person={self} own={state.media} label={`${namesOf(self.seats)} (${t('shared.members.you')})`} />}
          </div>
          <Controls room={room} state={state} />
          <Section title={t('shared.members.title')} className="card stack tight">
            <People state={state} />
            <Details room={room} state={state} />
          </Section>
          <div>
            <Button look="quiet" onPress={() => room.leave()}>
              {t('shared.leave')}
            </Button>
          </div>
        </div>
      </div>
      <Sounds people={state.people} mix={state.mix} />
    </main>
  )
}
