import type { RoomClient, RoomState } from '../media/room'
import { mixes, type Mix } from '../media/mix'
import { useTexts } from '../i18n'
import { Button, Notice, Radios } from '../ui/controls'
import { Icon } from '../ui/Icon'

/** What a person does with the own microphone, camera and screen, and what is heard of the room. */
export function Controls({ room, state, large = false }: { room: RoomClient; state: RoomState; large?: boolean }) {
  const { t } = useTexts()
  const interpreted = state.people.some((p) => !p.self && p.voices.some((v) => v.interpreter))
  const { screen } = state
  return (
    <div className="stack tight">
      <div className="own-controls" role="group" aria-label={t('shared.own.title')}>
        <Button large={large} look={state.muted ? 'danger' : 'secondary'} onPress={() => room.mute(!state.muted)}>
          <Icon name={state.muted ? 'micOff' : 'mic'} />
          {state.muted ? t('shared.own.unmute') : t('shared.own.mute')}
        </Button>
        <Button large={large} look={state.dark ? 'danger' : 'secondary'} onPress={() => room.darken(!state.dark)}>
          <Icon name={state.dark ? 'cameraOff' : 'camera'} />
          {state.dark ? t('shared.own.light') : t('shared.own.dark')}
        </Button>
        {room.mayShare && (
          <Button look={screen === null ? 'secondary' : 'danger'} onPress={() => void (screen === null ? room.share() : room.unshare())}>
            <Icon name="screen" />
            {screen === null ? t('shared.screen.share') : t('shared.screen.stop')}
          </Button>
        )}
      </div>
      {interpreted && <Radios<Mix> label={t('shared.mix.title')} value={state.mix} onChange={(mix) => room.listenTo(mix)} options={mixes.map((id) => ({ id, text: t(`shared.mix.${id}`) }))} />}
    </div>
  )
}

/** What a person must know of the own devices: muted while speaking, failed, shown to all. */
export function OwnNotices({ room, state }: { room: RoomClient; state: RoomState }) {
  const { t } = useTexts()
  return (
    <>
      {state.mutedTalk && (
        <Notice kind="alert" title={t('shared.own.mutedTalk')} live>
          <Button onPress={() => room.mute(false)}>
            <Icon name="mic" />
            {t('shared.own.unmute')}
          </Button>
        </Notice>
      )}
      {state.failed !== null && (
        <Notice kind="alert" title={t(`shared.own.failed.${state.failed}`)} live>
          <Button look="secondary" onPress={() => void room.mend()}>
            {t('shared.own.mend')}
          </Button>
        </Notice>
      )}
      {state.screen !== null && <Notice title={t('shared.screen.own')} live />}
    </>
  )
}
