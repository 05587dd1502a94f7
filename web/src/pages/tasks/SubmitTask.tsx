import { Page } from "../../ui/Page";

export function Component() {
  return <Page title="SubmitTask">{null}</Page>;
}
