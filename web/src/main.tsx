import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { takeStart } from './api/session'
import { App } from './app/App'
import { boot } from './app/boot'
import { startTexts } from './i18n'
import './ui/fonts.css'
import './ui/tokens.css'
import './ui/base.css'
import './room/room.css'

startTexts()
const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
// Once per load, outside React: the start code works only once.
const booting = boot(takeStart())
createRoot(root).render(
  <StrictMode>
    <App booting={booting} />
  </StrictMode>,
)
