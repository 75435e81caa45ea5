import { useEffect, useRef, useState } from 'react'
import { Meter } from 'react-aria-components'
import type { Role } from '../api/words'
import { useTexts } from '../i18n'
import { loadSound, ownMedia, type SoundSettings } from '../media/capture'
import { LevelMeter } from '../media/level'
import { Button, Notice, Section } from '../ui/controls'
import { NetworkTest } from './NetworkTest'
import { SoundChoices, SoundTest } from './SoundTest'

const heardAt = 0.02

/** Camera and microphone, tried before anybody waits for them. Gives what it opened to the room. */
export function SelfTest({ roles, onMedia }: { roles: readonly Role[]; onMedia: (media: MediaStream | null) => void }) {
  const { t } = useTexts()
  const [media, setMedia] = useState<MediaStream | null>(null)
  const [settings, setSettings] = useState(loadSound)
  const [tried, setTried] = useState(false)
  const [heard, setHeard] = useState(false)
  const video = useRef<HTMLVideoElement>(null)
  const voices = media?.getAudioTracks() ?? []

  useEffect(() => {
    if (video.current !== null) video.current.srcObject = media
  }, [media])

  const start = async (wanted: SoundSettings) => {
    for (const track of media?.getTracks() ?? []) track.stop()
    const opened = await ownMedia(roles, wanted)
    setTried(true)
    setMedia(opened)
    onMedia(opened)
  }
  const change = (wanted: SoundSettings) => {
    setSettings(wanted)
    void start(wanted)
  }

  return (
    <Section title={t('shared.selfTest.title')}>
      {media === null ? (
        <>
          {tried && <Notice kind="alert" title={t('shared.selfTest.denied')} live />}
          <div>
            <Button look="secondary" large onPress={() => void start(settings)}>
              {t('shared.selfTest.start')}
            </Button>
          </div>
        </>
      ) : (
        <>
          <div className="self-test">
            <video ref={video} autoPlay playsInline muted aria-label={t('shared.selfTest.camera')} />
            <div className="stack tight">
              {media.getVideoTracks().length > 0 && <p>{t('shared.selfTest.cameraOk')}</p>}
              {voices.map((track, i) => (
                <Bar key={track.id} track={track} label={i === 0 ? t('shared.selfTest.level') : t('shared.selfTest.interpreterLevel')} onHeard={() => setHeard(true)} />
              ))}
              {heard ? <Notice kind="success" title={t('shared.selfTest.heard')} live /> : <p>{t('shared.selfTest.speak')}</p>}
              <div>
                <SoundChoices settings={settings} interpreted={roles.includes('interpreter') && roles.length > 1} onChange={change} />
              </div>
            </div>
          </div>
          <SoundTest media={media} settings={settings} />
        </>
      )}
      <NetworkTest />
    </Section>
  )
}

/** How loud one microphone is. */
function Bar({ track, label, onHeard }: { track: MediaStreamTrack; label: string; onHeard: () => void }) {
  const [level, setLevel] = useState(0)
  const told = useRef(onHeard)
  useEffect(() => {
    told.current = onHeard
  })
  useEffect(() => {
    const meter = new LevelMeter(track)
    const timer = setInterval(() => {
      const rms = meter.rms()
      setLevel(Math.min(100, Math.round(rms * 400)))
      if (rms > heardAt) told.current()
    }, 100)
    return () => {
      clearInterval(timer)
      meter.close()
    }
  }, [track])
  return (
    <div>
      <span className="label">{label}</span>
      <Meter value={level} className="meter" aria-label={label} valueLabel={`${level}`}>
        <svg className="meter-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
          <rect width="100" height="6" className="meter-ground" />
          <rect width={level} height="6" className="meter-level" />
        </svg>
      </Meter>
    </div>
  )
}
