import { Button, Group, Modal, TagsInput, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useCallback, useState } from "react";
import { inWords } from "../../api/error";
import { type Device, useUpdateDevice } from "../../api/queries/devices";
import { ConfirmDialog } from "../../ui/ConfirmButton";
import { Form } from "../../ui/Form";
import { useSubmit } from "../../ui/useSubmit";

/** What a device is called by people. */
export const nameOf = (d: { name: string; device_id: string }): string => d.name || d.device_id;

/** What admins of the group can do to a device, in the words of its buttons. */
export type DeviceAction = "accept" | "edit" | "retire";

/** The actions that a device has. */
export function actionsOf(d: Device): { action: DeviceAction; label: string; hint: string }[] {
  const name = nameOf(d);
  const accept = d.state === "pending" ? "Accept" : "Use again";
  const retire = d.state === "pending" ? "Reject…" : "Retire…";
  return [
    ...(d.state === "active"
      ? []
      : [{ action: "accept" as const, label: accept, hint: `${accept}: ${name}` }]),
    { action: "edit", label: "Edit", hint: `Edit: ${name}` },
    ...(d.state === "retired"
      ? []
      : [{ action: "retire" as const, label: retire, hint: `${retire} ${name}` }]),
  ];
}

/** The buttons of a device's page. */
export function DeviceActions({ device }: { device: Device }) {
  const { ask, dialog } = useDeviceActions();
  return (
    <Group gap="xs" justify="flex-end" wrap="nowrap">
      {actionsOf(device).map(({ action, label, hint }) => (
        <Button
          key={action}
          size="sm"
          variant={action === "accept" ? "filled" : "default"}
          aria-label={hint}
          onClick={() => ask(device, action)}
        >
          {label}
        </Button>
      ))}
      {dialog}
    </Group>
  );
}

/** What does an action, after a dialog where one is needed; one dialog for all devices of a page. */
export function useDeviceActions() {
  const update = useUpdateDevice();
  const [asked, setAsked] = useState<{ device: Device; action: DeviceAction; opened: boolean }>();
  const ask = useCallback(
    (device: Device, action: DeviceAction) => {
      if (action !== "accept") return setAsked({ device, action, opened: true });
      update(device, { state: "active" }).catch((e: unknown) =>
        notifications.show({ color: "red", title: "That did not work", message: inWords(e) }),
      );
    },
    [update],
  );
  const close = () => setAsked((a) => a && { ...a, opened: false }); // it stays while the dialog closes
  if (!asked) return { ask, dialog: null };
  const { device, action, opened } = asked;
  const pending = device.state === "pending";
  const dialog = (
    <>
      <Modal opened={opened && action === "edit"} onClose={close} title={nameOf(device)} centered>
        <Edit device={device} close={close} />
      </Modal>
      <ConfirmDialog
        opened={opened && action === "retire"}
        close={close}
        title={pending ? `Reject ${nameOf(device)}?` : `Retire ${nameOf(device)}?`}
        confirm={pending ? "Reject" : "Retire"}
        message={
          <>
            It is left out of the fleet, of failures and of alerts. What it reports is still kept, and you can
            use it again from the list of retired devices.
          </>
        }
        action={() => update(device, { state: "retired" })}
      />
    </>
  );
  return { ask, dialog };
}

function Edit({ device, close }: { device: Device; close: () => void }) {
  const update = useUpdateDevice();
  const form = useForm({
    initialValues: { name: device.name, tags: device.tags },
    validate: { tags: (tags) => (tags.some((t) => t.length > 32) ? "At most 32 characters each" : null) },
  });
  const state = useSubmit(form, async (values) => {
    await update(device, values);
    close();
  });
  return (
    <Form state={state} send="Save" close={close}>
      <TextInput
        label="Name"
        description="Shown in place of its id"
        placeholder={device.device_id}
        maxLength={64}
        data-autofocus
        {...form.getInputProps("name")}
      />
      <TagsInput
        label="Tags"
        description="Enter ends one; at most 16"
        maxTags={16}
        clearable
        clearButtonProps={{ "aria-label": "Take all tags away" }}
        {...form.getInputProps("tags")}
      />
    </Form>
  );
}
