import { useEffect, useRef, useState } from 'react'
import { Meter } from 'react-aria-components'
import { useTexts } from '../i18n'
import { LevelMeter, ownMedia } from '../media/level'
import { Button, Notice, Section } from '../ui/controls'

const heardAt = 0.02

/** Camera and microphone, tried before anybody waits for them. Gives what it opened to the room. */
export function SelfTest({ onMedia }: { onMedia: (media: MediaStream | null) => void }) {
  const { t } = useTexts()
  const [media, setMedia] = useState<MediaStream | null>(null)
  const [tried, setTried] = useState(false)
  const [level, setLevel] = useState(0)
  const [heard, setHeard] = useState(false)
  const video = useRef<HTMLVideoElement>(null)

  useEffect(() => {
    if (video.current !== null) video.current.srcObject = media
    if (media === null) return undefined
    const meter = new LevelMeter(media)
    const timer = setInterval(() => {
      const rms = meter.rms()
      setLevel(Math.min(100, Math.round(rms * 400)))
      if (rms > heardAt) setHeard(true)
    }, 100)
    return () => {
      clearInterval(timer)
      meter.close()
    }
  }, [media])

  const start = async () => {
    const opened = await ownMedia()
    setTried(true)
    setMedia(opened)
    onMedia(opened)
  }

  return (
    <Section title={t('shared.selfTest.title')}>
      {media === null ? (
        <>
          {tried && <Notice kind="alert" title={t('shared.selfTest.denied')} live />}
          <div>
            <Button look="secondary" large onPress={() => void start()}>
              {t('shared.selfTest.start')}
            </Button>
          </div>
        </>
      ) : (
        <div className="self-test">
          <video ref={video} autoPlay playsInline muted aria-label={t('shared.selfTest.camera')} />
          <div className="stack tight">
            {media.getVideoTracks().length > 0 && <p>{t('shared.selfTest.cameraOk')}</p>}
            <Meter value={level} className="meter" aria-label={t('shared.selfTest.level')} valueLabel={`${level}`}>
              <svg className="meter-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                <rect width="100" height="6" className="meter-ground" />
                <rect width={level} height="6" className="meter-level" />
              </svg>
            </Meter>
            {heard ? <Notice kind="success" title={t('shared.selfTest.heard')} live /> : <p>{t('shared.selfTest.speak')}</p>}
          </div>
        </div>
      )}
    </Section>
  )
}
