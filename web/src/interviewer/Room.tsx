import { useEffect, useState } from 'react'
import { api, type Device } from '../api/http'
import type { TodaysHearing, Utterance } from '../api/model'
import { useTexts } from '../i18n'
import type { Raised } from '../api/wire'
import type { Request, RoomClient, RoomState } from '../media/room'
import { Ends } from '../room/Ends'
import { Controls, OwnNotices } from '../room/Controls'
import { Clock, Details, find, namesOf, People, PhaseNotice, RecordSign, Screens, Sounds, Tile } from '../room/parts'
import { useRoom } from '../room/useRoom'
import { Button, Dialog, Field, Notice, Section } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { ProblemNotice } from '../ui/Refusal'
import { Editor } from './Editor'
import { KnockDialog } from './KnockDialog'
import { Portrait } from './Portrait'

/** The hearing as its interviewer sees it: the applicant's face always, the transcript beside it. */
export function Room({ hearing, device, media, onHome, onAgain, onEnded }: { hearing: TodaysHearing; device: Device; media: MediaStream | null; onHome: () => void; onAgain: () => void; onEnded: () => void }) {
  const { t } = useTexts()
  const { room, state } = useRoom(hearing, device, media, onAgain)
  const [knocking, setKnocking] = useState(false)
  const [initial, setInitial] = useState<Utterance[] | null>(null)
  useEffect(() => {
    api
      .transcript(hearing.hearing)
      .then((tr) => setInitial(tr.utterances))
      .catch(() => setInitial([]))
  }, [hearing.hearing])
  const ended = state.phase.phase === 'ended'
  useEffect(() => {
    if (ended) onEnded()
  }, [ended, onEnded])

  if (state.stage === 'refused' || state.stage === 'superseded' || state.stage === 'left' || state.stage === 'again') {
    return <Ends state={state} onAgain={onAgain} onHome={onHome} />
  }
  const applicant = find(state.people, 'applicant')
  const interpreter = find(state.people, 'interpreter')
  const counsel = find(state.people, 'counsel')
  const self = state.people.find((p) => p.self)
  const others = state.people.filter((p) => !p.recorder && p !== applicant && p !== interpreter && p !== counsel && !p.self)
  const knock = state.knocks.at(0)

  return (
    <main id="content" className="page wide hearing" tabIndex={-1}>
      <PhaseBar room={room} state={state} title={t('staff.room.title', { diary: hearing.diary })} />
      <div className="alerts stack tight">
        <ProblemNotice problem={state.problem} />
        <PhaseNotice state={state} />
        <OwnNotices room={room} state={state} />
        {knock !== undefined && (
          <div className="knocking" role="status">
            <Icon name="door" />
            <strong>{t('staff.knock.banner', { count: state.knocks.length })}</strong>
            <Button onPress={() => setKnocking(true)}>{t('staff.knock.look')}</Button>
          </div>
        )}
        {state.raised.map((r) => (
          <Asked key={`${r.member}${r.at}`} raised={r} state={state} room={room} />
        ))}
      </div>
      {knock !== undefined && knocking && <KnockDialog key={knock.member} knock={knock} room={room} hearing={hearing.hearing} onClose={() => setKnocking(false)} />}
      <div className="desk">
        <div className="faces">
          {/* E10: nothing on this page can cover, move or remove the applicant's tile. */}
          <div className="constant">
            <Tile large room={room} person={applicant} label={applicant === undefined ? t('staff.room.applicantMissing') : namesOf(applicant.seats)} />
            <div className="tiles">
              {/* Who sits beside the applicant is in the same picture. */}
            {(interpreter === undefined || interpreter !== applicant) && (
              <Tile room={room} person={interpreter} label={interpreter === undefined ? t('staff.room.interpreterMissing') : t('shared.beside', { first: namesOf(interpreter.seats), second: t('shared.role.interpreter') })} />
            )}
            {(counsel === undefined || counsel !== applicant) && <Tile room={room} person={counsel} label={counsel === undefined ? t('staff.room.counselMissing') : t('shared.beside', { first: namesOf(counsel.seats), second: t('shared.role.counsel') })} />}
            {others.map((p) => (
              <Tile key={p.member} room={room} person={p} label={namesOf(p.seats)} />
            ))}
            {self !== undefined && <Tile person={self} own={state.media} label={`${namesOf(self.seats)} (${t('shared.members.you')})`} />}
            </div>
          </div>
          {applicant?.seats
            .filter((s) => s.role === 'applicant')
            .map((s) => (
              <Portrait key={s.participant} hearing={hearing.hearing} participant={s.participant} name={s.name} />
            ))}
          <Screens room={room} state={state} />
          <Controls room={room} state={state} />
          <Section title={t('shared.members.title')} className="card stack tight">
            <People state={state} />
            <Details room={room} state={state} />
          </Section>
        </div>
        {initial === null ? <p>{t('shared.loading')}</p> : <Editor hearing={hearing} initial={initial} now={() => room.now()} />}
      </div>
      <Sounds people={state.people} mix={state.mix} />
    </main>
  )
}

function Asked({ raised, state, room }: { raised: Raised; state: RoomState; room: RoomClient }) {
  const { t } = useTexts()
  const who = state.people.find((p) => p.member === raised.member)
  // Whether the recording is accepted is the applicant's word, whoever sits beside.
  const applicant = who?.seats.filter((s) => s.role === 'applicant') ?? []
  const name = namesOf(raised.what.startsWith('recording') && applicant.length > 0 ? applicant : (who?.seats ?? []))
  return (
    <div className="asked" role="status">
      <Icon name="hand" />
      <span>{t(`staff.room.asked.${raised.what as Request}`, { name })}</span>
      <Button look="quiet" onPress={() => room.handled(raised)}>
        {t('staff.room.handled')}
      </Button>
    </div>
  )
}

/** Phase, clock and record sign, with the controls that change them. */
function PhaseBar({ room, state, title }: { room: RoomClient; state: RoomState; title: string }) {
  const { t } = useTexts()
  const [dialog, setDialog] = useState<'pause' | 'end' | null>(null)
  const [reason, setReason] = useState('')
  const { phase } = state.phase
  const ready = state.stage === 'in' && state.online
  const recorder = state.people.some((p) => p.recorder && p.verified && p.connected)
  const close = () => {
    setDialog(null)
    setReason('')
  }

  return (
    <div className={`phase-bar ${state.sign}`}>
      <div className="phase-what">
        <h1>{title}</h1>
        <p>
          <span className="label">{t(`shared.phase.${phase}`)}</span>
          <span className="hidden">{t('staff.room.clock')}</span>
          <Clock room={room} />
        </p>
      </div>
      <RecordSign state={state} />
      <div className="phase-controls">
        {phase === 'on-record' ? (
          <Button large look="secondary" isDisabled={!ready} onPress={() => setDialog('pause')}>
            <Icon name="pause" />
            {t('staff.room.pause')}
          </Button>
        ) : (
          <Button large isDisabled={!ready || state.starting || !recorder} onPress={() => void room.goOnRecord('')}>
            <Icon name="record" />
            {phase === 'waiting' ? t('staff.room.start') : t('staff.room.resume')}
          </Button>
        )}
        <Button large look="danger secondary" isDisabled={!ready} onPress={() => setDialog('end')}>
          {t('staff.room.end')}
        </Button>
      </div>
      {ready && !recorder && (
        <div className="phase-note">
          <Notice kind="warning" title={t('staff.room.noRecorder')} />
        </div>
      )}
      <Dialog title={t('staff.room.pauseTitle')} open={dialog === 'pause'} onClose={close}>
        <Field label={t('staff.room.pauseReason')} help={t('staff.room.pauseReasonHelp')} value={reason} onChange={setReason} required first />
        <div className="row">
          <Button isDisabled={reason.trim() === ''} onPress={() => void room.pause(reason.trim()).then(close)}>
            {t('staff.room.pause')}
          </Button>
          <Button look="quiet" onPress={close}>
            {t('shared.cancel')}
          </Button>
        </div>
      </Dialog>
      <Dialog title={t('staff.room.endTitle')} open={dialog === 'end'} onClose={close}>
        <p>{t('staff.room.endBody')}</p>
        <div className="row">
          <Button look="danger" onPress={() => void room.finish('').then(close)}>
            {t('staff.room.endConfirm')}
          </Button>
          <Button look="quiet" onPress={close}>
            {t('shared.cancel')}
          </Button>
        </div>
      </Dialog>
    </div>
  )
}
