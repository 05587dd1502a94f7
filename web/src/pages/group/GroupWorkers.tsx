import { Page } from "../../ui/Page";

export function Component() {
  return <Page title="GroupWorkers">{null}</Page>;
}
