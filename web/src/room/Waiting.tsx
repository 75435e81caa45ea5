import type { ReactNode } from 'react'
import { useTexts } from '../i18n'
import type { RoomClient, RoomState } from '../media/room'
import { Button, Notice } from '../ui/controls'
import { Icon } from '../ui/Icon'

/** The waiting room: nobody is in before the interviewer has let them in by name. */
export function Waiting({ room, state, large = false, first }: { room: RoomClient; state: RoomState; large?: boolean; first?: ReactNode }) {
  const { t } = useTexts()
  return (
    <main id="content" className="page narrow stack" tabIndex={-1}>
      <h1>{t('shared.wait.title')}</h1>
      {first}
      <div className="card stack waiting" role="status">
        <Icon name="door" size={48} />
        <p className={large ? 'lead' : ''}>{state.stage === 'joining' ? t('shared.wait.connecting') : t('shared.wait.body')}</p>
        {state.seats.length > 0 && (
          <ul className="stack tight">
            {state.seats.map((s) => (
              <li key={s.seat}>
                <strong>{s.name}</strong> <span className="quiet">{t('shared.beside', { first: t(`shared.role.${s.role}`), second: s.place })}</span>
              </li>
            ))}
          </ul>
        )}
        {!state.online && state.stage === 'waiting' && <Notice kind="warning" title={t('shared.wait.lost')} />}
      </div>
      <div>
        <Button look="quiet" onPress={() => room.leave()}>
          {t('shared.leave')}
        </Button>
      </div>
    </main>
  )
}
