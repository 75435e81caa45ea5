import { useEffect, useRef, useState } from 'react'
import type { Device } from '../api/http'
import type { TodaysHearing } from '../api/model'
import { useTexts } from '../i18n'
import { Ends } from '../room/Ends'
import type { Answer } from '../room/Notice'
import { Controls, OwnNotices } from '../room/Controls'
import { Details, find, namesOf, People, PhaseNotice, RecordSign, Screens, Sounds, Tile } from '../room/parts'
import { useRoom } from '../room/useRoom'
import { Waiting } from '../room/Waiting'
import { FaceCard, useFaceCheck } from './FaceCheck'
import { Button, Notice, Section } from '../ui/controls'
import { Icon } from '../ui/Icon'

/** The room for the person who is heard: who asks, who is there, whether it is recorded, and one large button. */
export function Room({ hearing, device, media, answer, onHome, onAgain }: { hearing: TodaysHearing; device: Device; media: MediaStream | null; answer: Answer | null; onHome: () => void; onAgain: () => void }) {
  const { t } = useTexts()
  const { room, state } = useRoom(hearing, device, media, onAgain)
  const [asked, setAsked] = useState(false)
  const told = useRef(false)
  const face = useFaceCheck(hearing, state)
  useEffect(() => {
    if (state.stage !== 'in' || answer === null || told.current) return
    told.current = true
    void room.raise(`recording-${answer}`)
  }, [state.stage, answer, room])

  if (state.stage === 'refused' || state.stage === 'superseded' || state.stage === 'left' || state.stage === 'again' || state.phase.phase === 'ended') {
    return <Ends state={state} applicant onAgain={onAgain} onHome={onHome} />
  }
  if (state.stage !== 'in') return <Waiting room={room} state={state} large first={<FaceCard check={face} media={state.media} />} />

  const interviewer = find(state.people, 'interviewer')
  const others = state.people.filter((p) => !p.recorder && !p.self && p !== interviewer)
  return (
    <main id="content" className="page wide stack plain" tabIndex={-1}>
      <h1 className="hidden">{t('applicant.room')}</h1>
      <RecordSign state={state} large />
      <FaceCard check={face} media={state.media} />
      <PhaseNotice state={state} />
      <OwnNotices room={room} state={state} />
      <div className="desk applicant-desk">
        <div className="faces">
          <Screens room={room} state={state} />
          <Tile large room={room} person={interviewer} label={interviewer === undefined ? t('applicant.noInterviewer') : t('shared.beside', { first: namesOf(interviewer.seats), second: t('shared.role.interviewer') })} />
          {others.length > 0 && (
            <div className="tiles two">
              {others.map((p) => (
                <Tile key={p.member} room={room} person={p} label={p.seats.map((s) => t('shared.beside', { first: s.name, second: t(`shared.role.${s.role}`) })).join(' · ')} />
              ))}
            </div>
          )}
        </div>
        <div className="stack">
          <Button
            large
            wide
            look="secondary"
            onPress={() => {
              void room.raise('break').then(() => setAsked(true))
            }}
          >
            <Icon name="hand" size={32} />
            {t('shared.raise.break')}
          </Button>
          {asked && <Notice kind="success" title={t('applicant.breakSent')} live />}
          <p>{t('applicant.help')}</p>
          <Controls large room={room} state={state} />
          <Section title={t('shared.members.title')} className="card stack tight">
            <People state={state} />
            <Details room={room} state={state} />
          </Section>
        </div>
      </div>
      <Sounds people={state.people} mix={state.mix} />
    </main>
  )
}
