import { Button } from 'react-aria-components'

export function App() {
  return (
    <main>
      <h1>Kuule</h1>
      <Button>OK</Button>
    </main>
  )
}
