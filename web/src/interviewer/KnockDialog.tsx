import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Check as CheckResult, HearingID, Verdict } from '../api/words'
import type { Knock } from '../api/wire'
import { clockText, useTexts } from '../i18n'
import type { RoomClient } from '../media/room'
import { Button, Check, Dialog, Field, Notice } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { Portrait } from './Portrait'

const tone: Record<Verdict, string> = { verified: 'good', asserted: 'info', undetermined: 'careful', failed: 'bad', 'not done': 'careful' }

/** D1: nobody enters who was not admitted by name, role and place; everyone who shares a device is named. */
export function KnockDialog({ knock, room, hearing, onClose }: { knock: Knock; room: RoomClient; hearing: HearingID; onClose: () => void }) {
  const { t } = useTexts()
  const [seen, setSeen] = useState(false)
  const [declining, setDeclining] = useState(false)
  const [reason, setReason] = useState('')
  const seats = knock.seats ?? []
  // What holds of the device comes once for each who sits at it; it is said once.
  const checks = (knock.checks ?? []).filter((c, i, list) => list.findIndex((d) => d.name === c.name && d.reason === c.reason && d.verdict === c.verdict) === i)
  const face = checks.some((c) => c.name.startsWith('face') && c.verdict !== 'verified')
  const act = (done: Promise<void>) => void done.then(onClose)

  return (
    <Dialog title={t('staff.knock.title')} open onClose={onClose}>
      <div className="stack tight">
        <p>{t('staff.knock.people', { count: seats.length })}</p>
        <ul className="stack tight">
          {seats.map((s) => (
            <li key={s.seat} className="who">
              <Icon name="person" size={30} />
              <div>
                <strong>{s.name}</strong>
                <span>{t(`shared.role.${s.role}`)}</span>
                <span className="quiet">{s.place}</span>
              </div>
            </li>
          ))}
        </ul>
      </div>
      <dl className="facts-list">
        <dt>{t('staff.knock.device')}</dt>
        <dd>{knock.label}</dd>
        <dt>{t('staff.knock.rule')}</dt>
        <dd>
          <code dir="ltr">{knock.rule}</code>
        </dd>
        <dt className="hidden">{t('staff.time')}</dt>
        <dd className="quiet">{t('staff.knock.since', { time: clockText(Math.max(0, room.now() - knock.since)) })}</dd>
      </dl>
      <div className="stack tight">
        <h3>{t('staff.knock.checks')}</h3>
        <ul className="checks">
          {checks.map((c) => (
            <CheckRow key={`${c.name} ${c.reason} ${c.verdict}`} check={c} />
          ))}
        </ul>
      </div>
      {/* B21: the kiosk's picture, and what the room terminal's was worth beside it. */}
      {seats
        .filter((s) => s.role === 'applicant')
        .map((s) => (
          <Portrait key={s.participant} hearing={hearing} participant={s.participant} name={s.name} outside />
        ))}
      {face && <Notice kind="warning" title={t('staff.knock.face')} />}
      {declining ? (
        <>
          <Field label={t('staff.knock.declineReason')} help={t('staff.knock.declineHelp')} value={reason} onChange={setReason} lines required first />
          <div className="row">
            <Button look="danger" isDisabled={reason.trim() === ''} onPress={() => act(room.decline(knock, reason.trim()))}>
              {t('staff.knock.declineSend')}
            </Button>
            <Button look="quiet" onPress={() => setDeclining(false)}>
              {t('shared.back')}
            </Button>
          </div>
        </>
      ) : (
        <>
          <Check selected={seen} onChange={setSeen}>
            {t('staff.knock.seen')}
          </Check>
          <div className="row">
            <Button isDisabled={!seen} onPress={() => act(room.admit(knock))}>
              {t('staff.knock.admit')}
            </Button>
            <Button look="danger secondary" onPress={() => setDeclining(true)}>
              {t('staff.knock.decline')}
            </Button>
            <Button look="quiet" onPress={onClose}>
              {t('shared.close')}
            </Button>
          </div>
        </>
      )}
    </Dialog>
  )
}

function CheckRow({ check }: { check: CheckResult }) {
  const { t } = useTexts()
  const { t: any, i18n } = useTranslation()
  // A check that this page does not know yet is shown by the name it came with.
  const key = `staff.check.${check.name}`
  const name = i18n.exists(key) ? any(key as 'staff.check.face') : check.name
  return (
    <li className="row spread">
      <span>
        {name} {check.reason !== '' && check.reason !== 'ok' && <code dir="ltr">{check.reason}</code>}
      </span>
      <span className={`tag ${tone[check.verdict]}`}>{t(`shared.verdict.${check.verdict}`)}</span>
    </li>
  )
}
