//! The layout of a date: public and immutable.

use vocabulary::ScheduleId;

use super::{App, AppError};
use crate::domain::layout::Layout;

impl App {
    /// The layout of a date on sale; no visit is needed.
    ///
    /// # Errors
    /// There is no such date, or the store failed.
    pub async fn get_layout(&self, schedule_id: ScheduleId) -> Result<Layout, AppError> {
        let date = self.layouts.on_sale(schedule_id).await?;
        let date = date.ok_or(AppError::NotFound("schedule"))?;
        Ok(self.layouts.layout(&date).await?)
    }
}
