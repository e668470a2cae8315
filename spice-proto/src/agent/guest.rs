//! Messages about the guest's pointer, monitors, sound and devices.

use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Fixed, Reader, codec, layout, length, put_array};
use crate::ids::{AgentMessageType, AgentMouseButtons, DisplayConfigFlags, MonitorsFlags, ReplyError};

layout! {
    /// Where the pointer is, from the server to the agent: how the pointer moves in client mode.
    pub struct MouseState {
        /// Pixels from the left edge of the display.
        x: u32,
        /// Pixels from its upper edge.
        y: u32,
        /// Buttons that are down.
        buttons: AgentMouseButtons,
        /// The display.
        display_id: u8,
    }
}

layout! {
    /// One monitor.
    pub struct MonConfig {
        /// Pixels.
        height: u32,
        /// Pixels.
        width: u32,
        /// Bits per pixel.
        depth: u32,
        /// Where its left edge is.
        x: i32,
        /// Where its upper edge is.
        y: i32,
    }
}

layout! {
    /// How large a monitor is.
    pub struct MonitorMm {
        /// Millimetres.
        height: u16,
        /// Millimetres.
        width: u16,
    }
}

/// Asks the guest for this arrangement of monitors. spice-server takes at most 256, and sets them itself
/// where the guest's driver allows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MonitorsConfig {
    /// What counts. [`MonitorsFlags::PHYSICAL_SIZE`] is written as `physical_sizes` says.
    pub flags: MonitorsFlags,
    /// The monitors. One of size 0 is off, if
    /// [`SPARSE_MONITORS_CONFIG`](super::caps::SPARSE_MONITORS_CONFIG) is agreed.
    pub monitors: Vec<MonConfig>,
    /// How large they are, one entry each.
    pub physical_sizes: Option<Vec<MonitorMm>>,
}

codec!(MonitorsConfig);

layout! {
    /// What stands in front of the monitors.
    struct MonitorsHead {
        num_of_monitors: u32,
        flags: MonitorsFlags,
    }
}

impl Decode for MonitorsConfig {
    const NAME: &'static str = "MonitorsConfig";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let MonitorsHead { num_of_monitors, flags } = MonitorsHead::read(r)?;
        let monitors = r.array(num_of_monitors, "monitors")?;
        let sized = flags.contains(MonitorsFlags::PHYSICAL_SIZE);
        let physical_sizes = sized.then(|| r.array(num_of_monitors, "physical_sizes")).transpose()?;
        Ok(Self {
            flags,
            monitors,
            physical_sizes,
        })
    }
}

impl Encode for MonitorsConfig {
    fn wire_len(&self) -> usize {
        let sizes = self.physical_sizes.as_ref().map_or(0, Vec::len);
        MonitorsHead::BLOCK
            .saturating_add(self.monitors.len().saturating_mul(MonConfig::SIZE))
            .saturating_add(sizes.saturating_mul(MonitorMm::SIZE))
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let num_of_monitors: u32 = length(self.monitors.len(), Self::NAME, "num_of_monitors", u32::MAX)?;
        let bit = MonitorsFlags::PHYSICAL_SIZE.0;
        let flags = match &self.physical_sizes {
            None => self.flags.0 & !bit,
            Some(sizes) if sizes.len() == self.monitors.len() => self.flags.0 | bit,
            Some(sizes) => {
                return Err(EncodeError {
                    message: Self::NAME,
                    field: "physical_sizes",
                    value: sizes.len() as u64,
                    limit: num_of_monitors.into(),
                });
            }
        };
        MonitorsHead {
            num_of_monitors,
            flags: MonitorsFlags(flags),
        }
        .write(dst)?;
        put_array(dst, &self.monitors);
        put_array(dst, self.physical_sizes.as_deref().unwrap_or_default());
        Ok(())
    }
}

layout! {
    /// Result of a request.
    pub struct Reply {
        /// What was asked for.
        r#type: AgentMessageType,
        /// How it went.
        error: ReplyError,
    }
}

layout! {
    /// What the guest should not draw.
    pub struct DisplayConfig {
        /// The things.
        flags: DisplayConfigFlags,
        /// Bits per pixel, if [`DisplayConfigFlags::SET_COLOR_DEPTH`] is set.
        depth: u32,
    }
}

layout! {
    /// Largest clipboard content that may be sent to the client.
    pub struct MaxClipboard {
        /// Bytes; -1: no limit. spice-gtk says 100 MiB.
        max: i32,
    }
}

layout! {
    /// Volume of sound.
    pub struct AudioVolumeSync {
        /// 1: of playback, 0: of recording.
        is_playback: u8,
        /// 1: muted.
        mute: u8;
        nchannels: u8,
        /// One value each; 65535 is full volume.
        volume: [u16],
    }
}

/// A graphics device behind a display channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DeviceDisplayInfo {
    /// The display channel.
    pub channel_id: u32,
    /// The monitor on that channel.
    pub monitor_id: u32,
    /// Its number among those of the device.
    pub device_display_id: u32,
    /// Where the device is, NUL included: `pci/0000/02.0`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub device_address: Bytes,
}

layout! {
    /// What stands in front of an address.
    struct DeviceDisplayInfoHead {
        channel_id: u32,
        monitor_id: u32,
        device_display_id: u32,
        device_address_len: u32,
    }
}

/// Tells the agent which device is behind which display channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GraphicsDeviceInfo {
    /// The devices.
    pub display_info: Vec<DeviceDisplayInfo>,
}

codec!(GraphicsDeviceInfo);

layout! {
    /// What stands in front of the devices.
    struct GraphicsHead {
        count: u32,
    }
}

impl Decode for GraphicsDeviceInfo {
    const NAME: &'static str = "GraphicsDeviceInfo";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let GraphicsHead { count } = GraphicsHead::read(r)?;
        // Room only for devices whose bytes may be there. The loop ends where the bytes do.
        let fitting = r.left().len().checked_div(DeviceDisplayInfoHead::BLOCK).unwrap_or(0);
        let mut display_info = Vec::with_capacity(fitting.min(usize::try_from(count).unwrap_or(usize::MAX)));
        for _ in 0..count {
            let head = DeviceDisplayInfoHead::read(r)?;
            display_info.push(DeviceDisplayInfo {
                channel_id: head.channel_id,
                monitor_id: head.monitor_id,
                device_display_id: head.device_display_id,
                device_address: r.blob(head.device_address_len, "device_address")?,
            });
        }
        Ok(Self { display_info })
    }
}

impl Encode for GraphicsDeviceInfo {
    fn wire_len(&self) -> usize {
        self.display_info.iter().fold(GraphicsHead::BLOCK, |len, info| {
            len.saturating_add(DeviceDisplayInfoHead::BLOCK)
                .saturating_add(info.device_address.len())
        })
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let count = length(self.display_info.len(), Self::NAME, "count", u32::MAX)?;
        GraphicsHead { count }.write(dst)?;
        for info in &self.display_info {
            let address = &info.device_address;
            DeviceDisplayInfoHead {
                channel_id: info.channel_id,
                monitor_id: info.monitor_id,
                device_display_id: info.device_display_id,
                device_address_len: length(address.len(), Self::NAME, "device_address_len", u32::MAX)?,
            }
            .write(dst)?;
            dst.extend_from_slice(address);
        }
        Ok(())
    }
}
